//! Sums and rates of hits: the rows of `GET /api/v2/monitoring/dns/aggregate` and those of `GET /api/v2/monitoring/dns/rps`.
//!
//! The fields that identify a group are the same in both rows, except for when they are present.

use super::rows::{action, add, nullable, object, refer_to_action};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zonepulse_query::{Column, Dimension};

/// Hits of all time, of a range or of a bucket.
pub enum DnsAggregate {}

impl PartialSchema for DnsAggregate {
    fn schema() -> RefOr<Schema> {
        let time = "Start of the bucket or day; with any `interval` but `all`.";
        let first_seen = "Time of the first message; only in totals of all time.";
        let row = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Hits of all time, of a range or of a bucket. The fields depend on `interval` and `by`."));
        let row = optional(row, Column::Time, time);
        let row = groups(row, "in totals of all time and with `by=record`");
        let row = required(row, Column::Hits, "DNS messages.");
        let row = optional(row, Column::FirstSeen, first_seen);
        let row = required(row, Column::LastAccess, "Time of the last message.");
        let row = optional(
            row,
            Column::ObservedServers,
            "In a series, how many of `servers` observed the whole bucket or day: their probes listened without a gap and saw the\n\
             DNS server's messages. If it is open, the part of it that can have been reported by now. If fewer than `servers`,\n\
             the sum is incomplete.",
        );
        let row = optional(
            row,
            Column::Servers,
            "In a series, how many servers should have contributed: the selected ones that were registered before the bucket or\n\
             day ended and not removed before it began, even if they never reported. Samples and servers without DNS monitoring\n\
             count only if they reported.",
        );
        let open = "In a series, whether reports about the bucket or day are still expected.";
        optional(row, Column::Open, open).into()
    }
}

impl ToSchema for DnsAggregate {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        refer_to_action(schemas);
    }
}

/// Hits per second in a step.
pub enum DnsRate {}

impl PartialSchema for DnsRate {
    fn schema() -> RefOr<Schema> {
        let row = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Hits per second in a step. The fields depend on `by`."));
        let row = required(row, Column::Time, "Start of the step.");
        let row = groups(row, "with `by=record`");
        let row = required_or_null(
            row,
            Column::Rps,
            "Hits per second: the sum of the servers' rates, each being its hits divided by the seconds that its probe covered.\n\
             Null if nothing of the step was observed, 0 if there was no hit.",
        );
        let row = required_or_null(row, Column::Hits, "Hits; null if nothing was observed.");
        let row = required(
            row,
            Column::ObservedServers,
            "How many of `servers` observed the whole step: their probes listened without a gap and saw the DNS server's\n\
             messages. If it is open, the part of it that can have been reported by now. If fewer than `servers`, the sum is\n\
             incomplete.",
        );
        let row = required(
            row,
            Column::Servers,
            "How many servers should have contributed: the selected ones that were registered before the step ended and not\n\
             removed before it began, even if they never reported. Samples and servers without DNS monitoring count only if\n\
             they reported.",
        );
        required(row, Column::Open, "Whether reports about the step are still expected.").into()
    }
}

impl ToSchema for DnsRate {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        refer_to_action(schemas);
    }
}

/// Adds the fields that identify a group, each present only where sums are split by it; `by_record` says when those of a record are.
fn groups(row: ObjectBuilder, by_record: &str) -> ObjectBuilder {
    let record = Dimension::Record.columns().iter().map(|column| (*column, by_record));
    let server = Dimension::Server.columns().iter().map(|column| (*column, "with `by=server`"));
    let row = record.chain(server).fold(row, |row, (column, when)| {
        let text = format!("{}; {when}.", meaning(column));
        optional(row, column, &text)
    });
    action(row, "`request` or `response`; with `by=action`.")
}

/// The meaning of a field that identifies a group.
fn meaning(column: Column) -> &'static str {
    match column {
        Column::ResourceId => "The id of the resource that the record belongs to, or 0",
        Column::Host => "Owner name",
        Column::Type => "Record type",
        Column::Folded => "Whether the host is `<other>`, or `<other>` and a zone: a sum rather than a name",
        Column::ServerId => "The server's id",
        Column::Server => "The server's display name",
        _ => "",
    }
}

/// Adds a field that is present only in some answers.
fn optional(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    let mut field = object(column, text);
    field.example = match column {
        Column::Host => Some("www.example.com.".into()),
        Column::Type => Some("AAAA".into()),
        _ => None,
    };
    add(row, column, field)
}

/// Adds a field that every row has.
fn required(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    optional(row, column, text).required(column.name())
}

/// Adds a field that every row has, and that may be null.
fn required_or_null(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    add(row, column, nullable(column, text)).required(column.name())
}
