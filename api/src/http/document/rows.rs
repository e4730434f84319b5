//! Rows of the query engine as objects of the document.
//!
//! Names and types are those of the engine's columns ([`Column`]). What is written for a row is only what differs from row to
//! row: which columns it has, what they mean there, and whether they can be absent or null.

use super::words::Action;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, RefBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use zonepulse_query::{Column, Type as Values};

/// A column of a row.
pub(super) struct Field {
    /// Which one.
    pub(super) column: Column,
    /// What it means in this row, line by line.
    pub(super) text: &'static [&'static str],
    /// Whether it can be null.
    pub(super) or_null: bool,
    /// A value that says more than its type.
    pub(super) example: Option<&'static str>,
}

/// Declares a row: its columns in order, each documented, `or null` where it can be null, and with an example where one helps.
macro_rules! row {
    (@or_null) => { false };
    (@or_null null) => { true };
    (@example) => { None };
    (@example $example:literal) => { Some($example) };
    (
        $(#[doc = $about:literal])* $name:ident {
            $($(#[doc = $text:literal])* $column:ident $(or $null:ident)? $(= $example:literal)?,)*
        }
    ) => {
        $(#[doc = $about])*
        pub enum $name {}

        impl $name {
            const FIELDS: &[$crate::http::document::rows::Field] = &[$(
                $crate::http::document::rows::Field {
                    column: zonepulse_query::Column::$column,
                    text: &[$($text),*],
                    or_null: row!(@or_null $($null)?),
                    example: row!(@example $($example)?),
                },
            )*];
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::http::document::rows::schema(&[$($about),*], Self::FIELDS)
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
                $crate::http::document::rows::refer_to_action(schemas);
            }
        }
    };
}

pub(super) use row;

/// A row with these columns in every answer.
pub(super) fn schema(about: &[&str], fields: &[Field]) -> RefOr<Schema> {
    let row = ObjectBuilder::new().schema_type(Type::Object).description(Some(lines(about)));
    let row = fields.iter().fold(row, |row, Field { column, text, or_null, example }| {
        let text = lines(text);
        if *column == Column::Action {
            return action(row, &text).required(column.name());
        }
        let mut field = if *or_null { nullable(*column, &text) } else { object(*column, &text) };
        field.example = example.map(Into::into);
        add(row, *column, field).required(column.name())
    });
    row.into()
}

/// The lines of a doc comment as one text.
fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim_ascii()).collect::<Vec<_>>().join("\n")
}

/// Lists the schema that [`action`] refers to.
pub(super) fn refer_to_action(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((Action::name().into(), Action::schema()));
}

/// Adds the action.
pub(super) fn action(row: ObjectBuilder, text: &str) -> ObjectBuilder {
    let action = RefBuilder::new().description(Some(text)).ref_location_from_schema_name(Action::name());
    row.property(Column::Action.name(), action)
}

/// Adds a column.
pub(super) fn add(row: ObjectBuilder, column: Column, field: Object) -> ObjectBuilder {
    row.property(column.name(), RefOr::T(Schema::Object(field)))
}

/// A column that can be null.
pub(super) fn nullable(column: Column, text: &str) -> Object {
    let mut field = object(column, text);
    if let SchemaType::Type(of) = &field.schema_type {
        field.schema_type = SchemaType::from_iter([of.clone(), Type::Null]);
    }
    field
}

/// A column.
pub(super) fn object(column: Column, text: &str) -> Object {
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
    field.build()
}
