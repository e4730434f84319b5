//! Words that parameters and rows share.

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
pub enum Action {
    Request,
    Response,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
pub enum By {
    Record,
    Server,
    Action,
}

/// Declares a row: its fields in order, so that a test can hold them against the query engine's answers.
macro_rules! row {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident $(as $renamed:literal)?: $kind:ty,)* }) => {
        $(#[$outer])*
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a row")]
        pub struct $name {
            $($(#[$inner])* $(#[schema(rename = $renamed)])? $field: $kind,)*
        }
    };
}

pub(super) use row;
