//! The queues, declared so that the broker drops nothing that it has confirmed.
//!
//! | queue | what is in it | what the broker takes out goes to |
//! | --- | --- | --- |
//! | `Q` | batches | `Q.returned` |
//! | `Q.returned` | what the broker took out of `Q`, for the central to take | `Q.dead` |
//! | `Q.dead` | what the central refused, for an operator to inspect | `Q.returned` |
//!
//! Each queue sets explicitly what would otherwise depend on the broker's release or on a policy:
//!
//! * `x-delivery-limit`: since RabbitMQ 4.0, a quorum queue by default drops a message that was delivered 21 times.
//!   There, -1 means "unlimited", but RabbitMQ 3 takes it as a limit below 0 and drops a message after its first
//!   delivery. A number that is never reached means the same to both, and the argument stays the same after an
//!   upgrade.
//! * `x-dead-letter-…`: the destination of messages removed by a policy's limit, age or length. No policy overrides
//!   these.
//! * `x-dead-letter-strategy`: a message stays in its queue until it has reached its destination. Requires
//!   `x-overflow` as set here.

use super::Trouble;
use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ErrorKind};
use zonepulse_net::amqp::LONGEST_QUEUE;

/// A delivery limit that is never reached.
const DELIVERY_LIMIT: i32 = i32::MAX;

/// The suffix of the queue of returned messages.
const RETURNED: &str = ".returned";
const DEAD: &str = ".dead";
/// The longest queue name leaves room for the longer of the two suffixes within AMQP's limit of 255 bytes.
const _: () = assert!(LONGEST_QUEUE == 255 - RETURNED.len());

/// The names of the queues.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub batches: ShortString,
    pub returned: ShortString,
    pub dead: ShortString,
}

impl Names {
    pub(super) fn of(queue: &str) -> Result<Names, Trouble> {
        let too_long = || Trouble::Queue {
            queue: queue.to_owned(),
            what: format!("the name is too long: it has to have 1 to {LONGEST_QUEUE} bytes, so that {RETURNED:?} fits behind it"),
            said: String::new(),
        };
        if !(1..=LONGEST_QUEUE).contains(&queue.len()) {
            return Err(too_long());
        }
        let name = |name: String| ShortString::try_new(name).map_err(|_| too_long());
        Ok(Names {
            batches: name(queue.to_owned())?,
            returned: name(format!("{queue}{RETURNED}"))?,
            dead: name(format!("{queue}{DEAD}"))?,
        })
    }
}

/// Makes sure that all three queues exist. Returns the unprotected ones: an earlier release declared them without the
/// arguments, which cannot be changed afterwards, or the broker does not know the arguments.
pub(super) async fn declare(connection: &Connection, names: &Names) -> Result<Vec<String>, Trouble> {
    let Names { batches, returned, dead } = names;
    let mut unprotected = Vec::new();
    // Dead-letter targets come first.
    for (queue, onward) in [(dead, returned), (returned, dead), (batches, returned)] {
        let Err(error) = declare_one(connection, queue, protected(onward)).await else { continue };
        if !is(&error, AMQPSoftError::PRECONDITIONFAILED) {
            return Err(refused(queue, &error));
        }
        match declare_one(connection, queue, quorum()).await {
            Ok(()) => unprotected.push(queue.to_string()),
            // A queue of another type differs in every argument; only the type matters.
            Err(second) if second.to_string().contains("x-queue-type") => return Err(refused(queue, &second)),
            Err(_) => return Err(refused(queue, &error)),
        }
    }
    Ok(unprotected)
}

/// Uses a separate channel, because a refused declaration closes its channel.
async fn declare_one(connection: &Connection, queue: &ShortString, arguments: FieldTable) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments).await?;
    channel.close(200, "declared".into()).await
}

/// The arguments that earlier releases declared their queues with.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn protected(onward: &ShortString) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(onward.as_str()));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// The command that sets a policy with what a queue of an earlier release lacks.
pub(super) fn policy(names: &Names) -> String {
    let Names { batches, returned, .. } = names;
    let pattern = batches.as_str().replace('.', "\\.");
    format!(
        "rabbitmqctl set_policy --apply-to queues zonepulse '^{pattern}$' '{{\"delivery-limit\":{DELIVERY_LIMIT},\
         \"dead-letter-exchange\":\"\",\"dead-letter-routing-key\":\"{returned}\",\
         \"dead-letter-strategy\":\"at-least-once\",\"overflow\":\"reject-publish\"}}'"
    )
}

fn is(error: &lapin::Error, kind: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(said) if *said.kind() == AMQPErrorKind::Soft(kind))
}

/// Describes why the broker refuses a queue.
fn refused(queue: &ShortString, error: &lapin::Error) -> Trouble {
    let ErrorKind::ProtocolError(said) = error.kind() else { return Trouble::Ended(error.clone()) };
    let said = said.get_message().as_str();
    let what = match difference(said) {
        Some(Difference { argument, ours, theirs }) => format!(
            "it was declared with another argument: {argument} is {theirs}, and has to be {ours}; delete the queue when it is \
             empty (rabbitmqctl delete_queue {queue}), or give rabbitmq.queue another name here, and \
             deliver.rabbitmq.queue in the probes"
        ),
        None if is(error, AMQPSoftError::ACCESSREFUSED) => {
            "access is refused: the central's user has to be allowed to configure, write to and read from it, those with \
             .returned and .dead after the name too, and to write to amq.default"
                .to_owned()
        }
        None => "the broker refuses it".to_owned(),
    };
    Trouble::Queue { queue: queue.to_string(), what, said: said.to_owned() }
}

/// The argument in which a queue differs from its declaration.
#[derive(Debug, PartialEq, Eq)]
struct Difference<'a> {
    argument: &'a str,
    ours: &'a str,
    theirs: &'a str,
}

/// Parses the broker's message: `inequivalent arg 'A' for queue 'Q' in vhost 'V': received the value 'X' of type 'T'
/// but current is none`.
fn difference(said: &str) -> Option<Difference<'_>> {
    let (_, rest) = said.split_once("inequivalent arg '")?;
    let (argument, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.rsplit_once(": received ")?;
    let (ours, theirs) = rest.split_once(" but current is ")?;
    Some(Difference { argument, ours: value(ours), theirs: value(theirs) })
}

/// Extracts `x` from both `'x'` and `the value 'x' of type 't'`.
fn value(said: &str) -> &str {
    said.split('\'').nth(1).unwrap_or(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_net::amqp::check_queue;

    #[test]
    fn a_difference_is_read_from_what_brokers_say() {
        for (said, argument, ours, theirs) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'plain' in vhost '/': received the value '2147483647' of type 'signedint' but current is none",
                "x-delivery-limit",
                "2147483647",
                "none",
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-overflow' for queue 'full' in vhost '/': received 'drop-head' but current is 'reject-publish'",
                "x-overflow",
                "drop-head",
                "reject-publish",
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'a: received b' in vhost '/': received 'quorum' but current is 'classic'",
                "x-queue-type",
                "quorum",
                "classic",
            ),
        ] {
            assert_eq!(difference(said), Some(Difference { argument, ours, theirs }), "{said}");
        }
        assert_eq!(difference("PRECONDITION_FAILED - invalid arg 'x' for queue 'y' in vhost '/': invalid_dlx_strategy"), None);
        assert_eq!(difference("ACCESS_REFUSED"), None);
    }

    #[test]
    fn the_limit_is_one_that_every_release_of_the_broker_takes_for_never() {
        let arguments = protected(&"q.returned".into());
        assert_eq!(arguments.inner().get("x-delivery-limit"), Some(&AMQPValue::LongInt(2_147_483_647)));
        assert_eq!(arguments.inner().get("x-dead-letter-routing-key"), Some(&text("q.returned")));
    }

    #[test]
    fn a_name_that_leaves_no_room_for_the_other_two_is_told() {
        assert!(Names::of(&"q".repeat(246)).is_ok());
        let told = Names::of(&"q".repeat(247)).unwrap_err().to_string();
        assert!(told.contains("1 to 246 bytes"), "{told}");
    }

    #[test]
    fn a_configuration_takes_the_names_that_the_link_takes_and_no_others() {
        for length in [0, 1, 245, 246, 247, 250, 251, 256] {
            let queue = "q".repeat(length);
            assert_eq!(check_queue(&queue).is_ok(), Names::of(&queue).is_ok(), "{length}");
        }
        let said = check_queue("").unwrap_err();
        assert!(said.contains(&format!("1 to {LONGEST_QUEUE} bytes")), "{said}");
    }

    #[test]
    fn the_policy_for_a_queue_of_an_earlier_release_names_it_and_where_messages_go() {
        let policy = policy(&Names::of("zonepulse.batches").unwrap());
        assert!(policy.contains(r"'^zonepulse\.batches$'"), "{policy}");
        assert!(policy.contains(r#""dead-letter-routing-key":"zonepulse.batches.returned""#), "{policy}");
    }
}
