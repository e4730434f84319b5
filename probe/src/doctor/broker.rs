//! The broker, if batches go through one.

use super::configuration::Known;
use super::subject::Subject;
use crate::deliver;
use zonepulse_doctor::Check;
use zonepulse_doctor::broker::{self, Broker, Role};
use zonepulse_net::amqp::Address;

const SUBJECT: Subject = Subject::Broker;

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
    let broker = Broker {
        address: &address,
        trust: &settings.trust,
        queue: &settings.queue,
        role: Role::Sends,
        program: "zonepulse-probe doctor",
        url_setting: "deliver.rabbitmq.url",
        queue_setting: "deliver.rabbitmq.queue",
        ca_file: known.config.tls.ca_file.as_deref(),
        ca_setting: "tls.ca_file",
    };
    broker::check(SUBJECT, &broker).await
}
