//! The address of a broker.

use super::queues::LONGEST_QUEUE;
use lapin::uri::AMQPUri;
use zonepulse_wire::broker_url_fault;

/// What is wrong with the address of a broker, `amqp://` or `amqps://`. It is never shown: a password may be in it.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
        return Err("must begin with amqp:// or amqps://, as in amqps://user:password@host:5671/%2f");
    }
    if let Some(fault) = broker_url_fault(url) {
        return Err(fault);
    }
    let uri: AMQPUri = url.parse().map_err(|_| "is no URL of a broker; write amqps://user:password@host:port/vhost")?;
    if uri.authority.host.is_empty() || uri.authority.port == 0 {
        return Err("has no host or no port; write amqps://user:password@host:port/vhost");
    }
    Ok(())
}

/// What is wrong with the name of a queue. Names that begin with `amq.` are the broker's own; those of the two other queues
/// are longer by up to nine bytes.
pub fn check_queue(queue: &str) -> Result<(), &'static str> {
    let is_name = (1..=LONGEST_QUEUE).contains(&queue.len()) && !queue.trim().is_empty();
    let is_queue = is_name && !queue.chars().any(char::is_control) && !queue.starts_with("amq.");
    if is_queue {
        Ok(())
    } else {
        Err("must have 1 to 246 bytes, not blanks alone, no control characters, and not begin with amq.")
    }
}
