//! The words that a parameter or field can have, as their readers and writers know them.

use crate::http::question::values::{BY, Escape, intervals_and_all};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zonepulse_query::Interval as Length;

/// Declares a type of the document that is one of a few words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $words:expr;)*) => {$(
        $(#[$doc])*
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some($words)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

words! {
    /// Requests or responses.
    Action = [zonepulse_dns::Action::Request, zonepulse_dns::Action::Response].map(zonepulse_dns::Action::as_str);
    /// What sums can be split by.
    By = BY.map(|(word, _)| word);
    /// How CSV texts are escaped.
    Escaped = Escape::ALL.map(Escape::as_str);
    /// The length of a bucket.
    Interval = Length::words();
    /// The length of a bucket, or all of the range.
    IntervalOrAll = intervals_and_all();
}
