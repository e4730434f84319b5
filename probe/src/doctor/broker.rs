//! The broker, if batches go through one: connecting, TLS, the login, and the queue.

use super::configuration::Known;
use super::network::PATIENCE;
use super::report::{Check, Subject};
use super::tls::{self, Fault as Untrusted, Peer};
use crate::deliver::{self, amqp};
use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, ErrorKind, Queue};
use std::io;
use std::sync::Arc;
use tokio::time::timeout;
use zonepulse_net::amqp::{Address, Fault, Progress, Step, connect};

const SUBJECT: Subject = Subject::Broker;
const URL: &str = "deliver.rabbitmq.url";

pub(super) async fn check(known: &Known) -> Check {
    let settings = match &known.delivery {
        Some(deliver::Settings::Amqp(settings)) => settings,
        Some(deliver::Settings::Http(_)) => return Check::skipped(SUBJECT, "batches go directly to the central"),
        Some(deliver::Settings::Pull) => return Check::skipped(SUBJECT, "the central fetches batches"),
        None => return Check::skipped(SUBJECT, "the configuration cannot be used"),
    };
    let Ok(address) = Address::parse(&settings.url) else {
        return Check::skipped(SUBJECT, "the broker's URL is not valid");
    };
    try_broker(known, settings, &address).await.with("broker", address.to_string()).with("queue", settings.queue.as_str())
}

async fn try_broker(known: &Known, settings: &amqp::Settings, address: &Address) -> Check {
    let tls = match address.is_encrypted().then(|| settings.trust.client_config()).transpose() {
        Ok(tls) => tls.map(Arc::new),
        Err(error) => return Check::error(SUBJECT, error.to_string(), "set tls.ca_file, or install ca-certificates"),
    };
    let progress = Progress::default();
    let connected = timeout(PATIENCE, connect(address, tls, "zonepulse-probe doctor", &progress)).await;
    match connected {
        Err(_) => {
            progress.abort();
            timed_out(address, progress.step())
        }
        Ok(Err(Fault::Before { step, error })) => before_amqp(known, address, step, &error),
        Ok(Err(Fault::Broker(error))) => refused(address, &error),
        Ok(Ok(connection)) => {
            let found = timeout(PATIENCE, queue(&connection, &settings.queue)).await;
            // Whether the broker confirms the end does not matter.
            let _ = timeout(PATIENCE, connection.close(200, "checked".into())).await;
            match found {
                Ok(Ok(queue)) => judge_queue(address, &settings.queue, queue.message_count(), queue.consumer_count()),
                Ok(Err(error)) => no_queue(address, &settings.queue, &error),
                Err(_) => timed_out(address, Step::LogIn),
            }
        }
    }
}

/// Asks for the queue without creating it.
async fn queue(connection: &Connection, name: &str) -> lapin::Result<Queue> {
    let name = ShortString::try_new(name).map_err(|error| io::Error::other(error.to_string()))?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    connection.create_channel().await?.queue_declare(name, passive, FieldTable::default()).await
}

fn judge_queue(address: &Address, queue: &str, messages: u32, consumers: u32) -> Check {
    let check = if consumers == 0 {
        Check::warning(
            SUBJECT,
            format!(
                "{address} accepts the login and has the queue {queue} ({messages} messages), but no central takes messages from it"
            ),
            "start the central, and compare its [rabbitmq] url and queue with these",
        )
    } else {
        Check::ok(
            SUBJECT,
            format!("{address} accepts the login and has the queue {queue} ({messages} messages, {consumers} consumers)"),
        )
    };
    check.with("messages", messages).with("consumers", consumers)
}

fn no_queue(address: &Address, queue: &str, error: &lapin::Error) -> Check {
    if is_soft(error, AMQPSoftError::NOTFOUND) {
        return Check::error(
            SUBJECT,
            format!("{address} accepts the login but has no queue {queue}"),
            "start the central, which declares its queue, or correct deliver.rabbitmq.queue: rabbitmqctl list_queues",
        );
    }
    Check::error(
        SUBJECT,
        format!("{address} accepts the login but refuses the queue {queue}: {}", said(error)),
        "see the broker's log",
    )
}

fn timed_out(address: &Address, step: Step) -> Check {
    let found = format!("{address}: {} was not over after {} s", step.as_str(), PATIENCE.as_secs());
    Check::error(
        SUBJECT,
        found,
        format!("check the firewalls between here and the broker, and {URL}: nc -vz {} {}", address.host(), address.port()),
    )
}

fn before_amqp(known: &Known, address: &Address, step: Step, error: &io::Error) -> Check {
    let (host, port) = (address.host(), address.port());
    if step == Step::Tls {
        let ca_file = known.config.tls.ca_file.as_deref();
        let peer = Peer { who: "the broker", host, ca_file, setting: URL, last: None };
        let Untrusted { found, advice, .. } = tls::explain(error, peer);
        return Check::error(SUBJECT, format!("{address}: {found}"), advice);
    }
    let advice = match step {
        Step::Name => format!("correct the host in {URL}, or this machine's resolver: getent ahosts {host}"),
        _ if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("start the broker, or correct the port in {URL}: ss -ltnp 'sport = :{port}' there shows who listens")
        }
        _ => format!("check the network between here and the broker: nc -vz {host} {port}"),
    };
    Check::error(SUBJECT, format!("{address}: {} failed: {error}", step.as_str()), advice)
}

fn refused(address: &Address, error: &lapin::Error) -> Check {
    let why = said(error);
    let advice = match error.kind() {
        ErrorKind::ProtocolError(_) if is_soft(error, AMQPSoftError::ACCESSREFUSED) => {
            format!(
                "correct user and password in {URL} (or in the central's settings, if they override it): rabbitmqctl authenticate_user USER"
            )
        }
        ErrorKind::ProtocolError(said) if *said.kind() == AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
            format!(
                "correct the virtual host in {URL}, or let the user use it: rabbitmqctl list_vhosts; rabbitmqctl set_permissions"
            )
        }
        ErrorKind::ProtocolError(_) => "see the broker's log".to_owned(),
        _ if address.is_encrypted() => format!("check that the port in {URL} is the broker's for TLS, usually 5671"),
        _ => format!("check that the port in {URL} is the broker's without TLS, usually 5672; for TLS, write amqps://"),
    };
    Check::error(SUBJECT, format!("{address} refuses: {why}"), advice)
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
    use crate::doctor::report::Status;

    #[test]
    fn a_queue_needs_a_consumer() {
        let address = Address::parse(&"amqp://me:hush@broker.example".into()).unwrap();
        let good = judge_queue(&address, "q", 3, 1);
        assert_eq!(good.status, Status::Ok);
        assert_eq!(
            good.found,
            "amqp://broker.example:5672 vhost / accepts the login and has the queue q (3 messages, 1 consumers)"
        );
        let check = judge_queue(&address, "q", 3, 0);
        assert!(check.status == Status::Warning && check.found.contains("no central takes messages"), "{check:?}");
    }

    #[test]
    fn each_step_has_its_advice_and_no_password_is_shown() {
        let address = Address::parse(&"amqp://me:hush@broker.example".into()).unwrap();
        let check = timed_out(&address, Step::Connect);
        assert!(check.found.contains("connecting was not over after 5 s"), "{check:?}");
        assert!(check.advice.as_deref().unwrap().contains("nc -vz broker.example 5672"), "{check:?}");
        let check = refused(&address, &lapin::Error::from(io::Error::other("reset")));
        assert!(check.advice.as_deref().unwrap().contains("usually 5672"), "{check:?}");
        assert!(!format!("{check:?}").contains("hush"));
    }
}
