//! A broker: connecting, TLS, the login, the queue, and what the user may do with it.
//!
//! Nothing is created and no batch is sent. Whether messages may be sent is tried with an empty one to a queue that does not
//! exist: the broker looks at the user's permissions first, and then has nowhere to put it.

use crate::tls::{self, Fault as Untrusted, Peer};
use crate::{Check, PATIENCE, Subject};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ErrorKind, Queue};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;
use zonepulse_net::Trust;
use zonepulse_net::amqp::{Address, Fault, Progress, Step, connect};

/// What a program does with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends messages.
    Sends,
    /// It receives them.
    Receives,
}

/// A broker, in the words of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Broker<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// Whom to trust there.
    pub trust: &'a Trust,
    /// The queue.
    pub queue: &'a str,
    /// What is done with it.
    pub role: Role,
    /// How the connection introduces itself.
    pub program: &'static str,
    /// The setting with the URL.
    pub url_setting: &'a str,
    /// The setting with the queue.
    pub queue_setting: &'a str,
    /// The file with the authorities that are trusted.
    pub ca_file: Option<&'a Path>,
    /// The setting that names it.
    pub ca_setting: &'a str,
}

/// What the user may not do.
struct Refused {
    /// Of the permissions of a user: `write` or `read`.
    permission: &'static str,
    error: lapin::Error,
}

/// Tries everything that a program does there.
pub async fn check(subject: impl Subject, broker: &Broker<'_>) -> Check {
    try_broker(subject, broker).await.with("broker", broker.address.to_string()).with("queue", broker.queue)
}

async fn try_broker(subject: impl Subject, broker: &Broker<'_>) -> Check {
    let address = broker.address;
    let tls = match address.is_encrypted().then(|| broker.trust.client_config()).transpose() {
        Ok(tls) => tls.map(Arc::new),
        Err(error) => {
            let advice = format!("set {}, or install ca-certificates", broker.ca_setting);
            return Check::error(subject, error.to_string(), advice);
        }
    };
    let progress = Progress::default();
    match timeout(PATIENCE, connect(address, tls, broker.program, &progress)).await {
        Err(_) => {
            progress.abort();
            timed_out(subject, broker, progress.step())
        }
        Ok(Err(Fault::Before { step, error })) => before_amqp(subject, broker, step, &error),
        Ok(Err(Fault::Broker(error))) => refused(subject, broker, &error),
        Ok(Ok(connection)) => {
            let found = timeout(PATIENCE, look(&connection, broker)).await;
            // Whether the broker confirms the end does not matter.
            let _ = timeout(PATIENCE, connection.close(200, "checked".into())).await;
            match found {
                Ok(Ok((queue, None))) => judge_queue(subject, broker, queue.message_count(), queue.consumer_count()),
                Ok(Ok((_, Some(what)))) => forbidden(subject, broker, &what),
                Ok(Err(error)) => no_queue(subject, broker, &error),
                Err(_) => timed_out(subject, broker, Step::LogIn),
            }
        }
    }
}

/// Asks for the queue without creating it, and tries what the user has to be allowed to do.
async fn look(connection: &Connection, broker: &Broker<'_>) -> lapin::Result<(Queue, Option<Refused>)> {
    let name = short(broker.queue)?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let channel = connection.create_channel().await?;
    let queue = channel.queue_declare(name.clone(), passive, FieldTable::default()).await?;
    let (permission, tried) = match broker.role {
        Role::Sends => ("write", send(&channel).await),
        // Whoever receives already may. Otherwise a message is taken and given back, which keeps its place.
        Role::Receives if queue.consumer_count() > 0 => return Ok((queue, None)),
        Role::Receives => ("read", channel.basic_get(name, BasicGetOptions { no_ack: false }).await.map(drop)),
    };
    match tried {
        Ok(()) => Ok((queue, None)),
        Err(error) if is_soft(&error, AMQPSoftError::ACCESSREFUSED) => Ok((queue, Some(Refused { permission, error }))),
        Err(error) => Err(error),
    }
}

/// Sends an empty message to a queue that does not exist.
async fn send(channel: &Channel) -> lapin::Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let nowhere = short(&format!("zonepulse-doctor-{}", std::process::id()))?;
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), nowhere, options, b"", BasicProperties::default()).await?.await.map(drop)
}

fn short(name: &str) -> lapin::Result<ShortString> {
    Ok(ShortString::try_new(name).map_err(|error| io::Error::other(error.to_string()))?)
}

fn judge_queue(subject: impl Subject, broker: &Broker<'_>, messages: u32, consumers: u32) -> Check {
    let Broker { address, queue, .. } = broker;
    let is_consumed = consumers > 0 || broker.role == Role::Receives;
    let found = match broker.role {
        Role::Sends => format!(
            "{address} accepts the login, has the queue {queue} ({messages} messages, {consumers} consumers), and lets the user send"
        ),
        Role::Receives => {
            format!("{address} accepts the login and has the queue {queue} ({messages} messages, {consumers} consumers)")
        }
    };
    let check = if is_consumed {
        Check::ok(subject, found)
    } else {
        Check::warning(
            subject,
            format!(
                "{address} accepts the login and has the queue {queue} ({messages} messages), but no central takes messages from it"
            ),
            "start the central, and compare its [rabbitmq] url and queue with these",
        )
    };
    check.with("messages", messages).with("consumers", consumers)
}

fn forbidden(subject: impl Subject, broker: &Broker<'_>, what: &Refused) -> Check {
    let Broker { address, queue, .. } = broker;
    let (permission, error) = (what.permission, said(&what.error));
    let does = if permission == "write" { "send messages" } else { "receive messages" };
    let on = if permission == "write" { "the exchange amq.default".to_owned() } else { format!("the queue {queue}") };
    Check::error(
        subject,
        format!("{address} accepts the login and has the queue {queue}, but the user may not {does}: {error}"),
        format!(
            "give the user the permission to {permission} on {on}: rabbitmqctl list_permissions; rabbitmqctl set_permissions"
        ),
    )
    .with("refused", permission)
}

fn no_queue(subject: impl Subject, broker: &Broker<'_>, error: &lapin::Error) -> Check {
    let Broker { address, queue, queue_setting, role, .. } = broker;
    if is_soft(error, AMQPSoftError::NOTFOUND) {
        let found = format!("{address} accepts the login but has no queue {queue}");
        return match role {
            Role::Receives => Check::ok(subject, format!("{found} yet: the central creates it")),
            Role::Sends => {
                let advice =
                    format!("start the central, which declares its queue, or correct {queue_setting}: rabbitmqctl list_queues");
                Check::error(subject, found, advice)
            }
        };
    }
    Check::error(
        subject,
        format!("{address} accepts the login but refuses the queue {queue}: {}", said(error)),
        "see the broker's log",
    )
}

fn timed_out(subject: impl Subject, broker: &Broker<'_>, step: Step) -> Check {
    let Broker { address, url_setting, .. } = broker;
    let found = format!("{address}: {} was not over after {} s", step.as_str(), PATIENCE.as_secs());
    let advice = format!(
        "check the firewalls between here and the broker, and {url_setting}: nc -vz {} {}",
        address.host(),
        address.port()
    );
    Check::error(subject, found, advice)
}

fn before_amqp(subject: impl Subject, broker: &Broker<'_>, step: Step, error: &io::Error) -> Check {
    let Broker { address, url_setting, ca_file, ca_setting, .. } = *broker;
    let (host, port) = (address.host(), address.port());
    if step == Step::Tls {
        let peer = Peer { who: "the broker", host, ca_file, ca_setting, setting: url_setting, last: None };
        let Untrusted { found, advice, .. } = tls::explain(error, peer);
        return Check::error(subject, format!("{address}: {found}"), advice);
    }
    let advice = match step {
        Step::Name => format!("correct the host in {url_setting}, or this machine's resolver: getent ahosts {host}"),
        _ if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("start the broker, or correct the port in {url_setting}: ss -ltnp 'sport = :{port}' there shows who listens")
        }
        _ => format!("check the network between here and the broker: nc -vz {host} {port}"),
    };
    Check::error(subject, format!("{address}: {} failed: {error}", step.as_str()), advice)
}

fn refused(subject: impl Subject, broker: &Broker<'_>, error: &lapin::Error) -> Check {
    let Broker { address, url_setting, .. } = broker;
    let why = said(error);
    let advice = match error.kind() {
        ErrorKind::ProtocolError(_) if is_soft(error, AMQPSoftError::ACCESSREFUSED) => {
            format!(
                "correct user and password in {url_setting} (or in the central's settings, if they override it): rabbitmqctl authenticate_user USER"
            )
        }
        ErrorKind::ProtocolError(said) if *said.kind() == AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
            format!(
                "correct the virtual host in {url_setting}, or let the user use it: rabbitmqctl list_vhosts; rabbitmqctl set_permissions"
            )
        }
        ErrorKind::ProtocolError(_) => "see the broker's log".to_owned(),
        _ if address.is_encrypted() => format!("check that the port in {url_setting} is the broker's for TLS, usually 5671"),
        _ => format!("check that the port in {url_setting} is the broker's without TLS, usually 5672; for TLS, write amqps://"),
    };
    Check::error(subject, format!("{address} refuses: {why}"), advice)
}

fn is_soft(error: &lapin::Error, kind: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(said) if *said.kind() == AMQPErrorKind::Soft(kind))
}

/// What the broker said, or what happened instead.
fn said(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(said) => said.get_message().to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::report::tests::Topic;

    fn broker(address: &Address, role: Role) -> Broker<'_> {
        Broker {
            address,
            trust: &Trust::System,
            queue: "q",
            role,
            program: "test",
            url_setting: "deliver.rabbitmq.url",
            queue_setting: "deliver.rabbitmq.queue",
            ca_file: None,
            ca_setting: "tls.ca_file",
        }
    }

    fn address() -> Address {
        Address::parse(&"amqp://me:hush@broker.example".into()).unwrap()
    }

    #[test]
    fn a_queue_needs_a_consumer_if_it_is_sent_to() {
        let address = address();
        let judged = |role, consumers| judge_queue(Topic::Broker, &broker(&address, role), 3, consumers);
        let good = judged(Role::Sends, 1);
        assert_eq!(good.status, Status::Ok);
        let expected = "amqp://broker.example:5672 vhost / accepts the login, has the queue q (3 messages, 1 consumers), and lets the user send";
        assert_eq!(good.found, expected);
        let check = judged(Role::Sends, 0);
        assert!(check.status == Status::Warning && check.found.contains("no central takes messages"), "{check:?}");
        assert_eq!(judged(Role::Receives, 0).status, Status::Ok);
    }

    #[test]
    fn each_step_has_its_advice_and_no_password_is_shown() {
        let address = address();
        let broker = broker(&address, Role::Sends);
        let check = timed_out(Topic::Broker, &broker, Step::Connect);
        assert!(check.found.contains("connecting was not over after 5 s"), "{check:?}");
        assert!(check.advice.as_deref().unwrap().contains("nc -vz broker.example 5672"), "{check:?}");
        let check = refused(Topic::Broker, &broker, &lapin::Error::from(io::Error::other("reset")));
        assert!(check.advice.as_deref().unwrap().contains("usually 5672"), "{check:?}");
        assert!(!format!("{check:?}").contains("hush"));
    }
}
