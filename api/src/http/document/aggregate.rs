//! Sums and rates of hits: the parameters of `GET /api/v2/monitoring/dns/aggregate` that no other call has, its rows, and those of
//! `GET /api/v2/monitoring/dns/rps`.
//!
//! The names and types of the fields are those of the query engine's columns. The fields that identify a group are the same in
//! both rows, except for when they are present.

use super::words::{Action, By};
use std::iter::once;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, RefBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use zonepulse_query::{Column, Dimension, Interval as Length, Type as Values};

/// Which totals of all time to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeptTotals {
    /// Totals of all time whose last access is not before this, written like `date_from`. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    accessed_from: Option<String>,
    /// Totals of all time whose last access is before this: what has not been accessed since. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    accessed_to: Option<String>,
    /// `true` for records whose name exists, `false` for those whose name does not: about the record, the selected servers
    /// answered NXDOMAIN and never NOERROR. Where neither was seen, a name counts as existing. With `accessed_to` it is
    /// `true` unless told otherwise; without, all are given. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    exists: Option<bool>,
}

/// What sums are split by, and into which buckets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByAndInterval {
    /// The length of a bucket, or `all` for totals over the range from `date_from` to `date_to`. Without it there are totals
    /// of all time. `1d` is a day of `time_zone`, of 23 or 25 hours where clocks are changed.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    interval: Option<IntervalOrAll>,
    /// What to split the sums by, with commas between: `record`, `server`, `action`. Totals of all time are by record in
    /// any case.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(style = Form, explode = false, inline)]
    by: Option<Vec<By>>,
}

/// The words of `interval`.
pub(super) enum Interval {}

impl PartialSchema for Interval {
    fn schema() -> RefOr<Schema> {
        words(Length::words())
    }
}

impl ToSchema for Interval {}

enum IntervalOrAll {}

impl PartialSchema for IntervalOrAll {
    fn schema() -> RefOr<Schema> {
        words(Length::words().chain(once("all")))
    }
}

impl ToSchema for IntervalOrAll {}

fn words(words: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
}

/// Hits, of all time, of a range or of a bucket.
pub enum DnsAggregate {}

impl PartialSchema for DnsAggregate {
    fn schema() -> RefOr<Schema> {
        let time = "Start of the bucket or day; with `interval`, but for `all`.";
        let first_seen = "Time of the first of them; in totals of all time only.";
        let row = ObjectBuilder::new().schema_type(Type::Object).description(Some(
            "Hits, of all time, of a range or of a bucket. Which fields there are depends on `interval` and `by`.",
        ));
        let row = optional(row, Column::Time, time);
        let row = groups(row, "in totals of all time and with `by=record`");
        let row = required(row, Column::Hits, "DNS messages.");
        let row = optional(row, Column::FirstSeen, first_seen);
        let row = required(row, Column::LastAccess, "Time of the last of them.");
        let row = optional(
            row,
            Column::ObservedServers,
            "In a series, how many of `servers` observed all of the bucket or day: their probes listened without a gap and saw the\n\
             DNS server's messages. Where it is open, all that they can have reported by now. If they are fewer than `servers`,\n\
             the sum is partial.",
        );
        let row = optional(
            row,
            Column::Servers,
            "In a series, how many servers the sum is about: the selected ones that were registered before the bucket or day\n\
             ended and not removed before it began, whether or not they have ever reported. Samples, and servers without DNS\n\
             monitoring, count only where they reported.",
        );
        let open = "In a series, whether reports of the bucket or day can be expected to come.";
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
            .description(Some("Hits per second in a step. Which fields there are depends on `by`."));
        let row = required(row, Column::Time, "Start of the step.");
        let row = groups(row, "with `by=record`");
        let row = nullable(
            row,
            Column::Rps,
            "Hits per second: the sum over the servers of their hits by the seconds that their probes covered. Null when nothing\n\
             of this step was observed, 0 when there was no hit.",
        );
        let row = nullable(row, Column::Hits, "Hits; null when nothing was observed.");
        let row = required(
            row,
            Column::ObservedServers,
            "How many of `servers` observed all of the step: their probes listened without a gap and saw the DNS\n\
             server's messages. Where it is open, all that they can have reported by now. If they are fewer than `servers`,\n\
             the sum is partial.",
        );
        let row = required(
            row,
            Column::Servers,
            "How many servers the sum is about: the selected ones that were registered before the step ended and\n\
             not removed before it began, whether or not they have ever reported. Samples, and servers without DNS\n\
             monitoring, count only where they reported.",
        );
        required(row, Column::Open, "Whether reports of the step can be expected to come.").into()
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
    let action = RefBuilder::new()
        .description(Some("`request` or `response`; with `by=action`."))
        .ref_location_from_schema_name(Action::name());
    row.property(Column::Action.name(), action)
}

/// The meaning of a field that identifies a group.
fn meaning(column: Column) -> &'static str {
    match column {
        Column::ResourceId => "The resource that the record belongs to, or 0",
        Column::Host => "Owner name",
        Column::Type => "Record type",
        Column::Folded => "Whether the host is `<other>`, or `<other>` and a zone: a sum and no name",
        Column::ServerId => "The server's id",
        Column::Server => "The server's display name",
        _ => "",
    }
}

fn refer_to_action(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((Action::name().into(), Action::schema()));
}

/// Adds a field that only some answers have.
fn optional(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    row.property(column.name(), RefOr::T(Schema::Object(field(column, text))))
}

/// Adds a field that every row has.
fn required(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    optional(row, column, text).required(column.name())
}

/// Adds a field that every row has, and that may be null.
fn nullable(row: ObjectBuilder, column: Column, text: &str) -> ObjectBuilder {
    let mut field = field(column, text);
    if let SchemaType::Type(of) = &field.schema_type {
        field.schema_type = SchemaType::from_iter([of.clone(), Type::Null]);
    }
    row.property(column.name(), RefOr::T(Schema::Object(field))).required(column.name())
}

/// A column as a field of a row.
fn field(column: Column, text: &str) -> Object {
    let field = ObjectBuilder::new().description(Some(text));
    let number = |format| {
        let format = SchemaFormat::KnownFormat(format);
        ObjectBuilder::new().schema_type(Type::Integer).format(Some(format)).minimum(Some(0)).description(Some(text))
    };
    let field = match column.value_type() {
        Values::Instant => field.schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        Values::Id | Values::Kind | Values::Small => number(KnownFormat::Int32),
        Values::Whole => number(KnownFormat::Int64),
        Values::Fraction => field.schema_type(Type::Number).format(Some(SchemaFormat::KnownFormat(KnownFormat::Double))),
        Values::Flag => field.schema_type(Type::Boolean),
        Values::Text => field.schema_type(Type::String),
    };
    let mut field = field.build();
    field.example = match column {
        Column::Host => Some("www.example.com.".into()),
        Column::Type => Some("AAAA".into()),
        _ => None,
    };
    field
}
