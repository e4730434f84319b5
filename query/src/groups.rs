//! What sums are split by, as expressions and as columns.

use crate::By;
use crate::table::instant as instant_type;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, col, lit};

/// The groups of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups(pub(crate) By);

impl Groups {
    /// The expressions to group by.
    pub(crate) fn keys(self) -> Vec<Expr> {
        let key = |column| match column {
            // 0 for a request and 1 for a response, whatever its code.
            "kind" => cast(col("kind").gt(lit(0u16)), DataType::UInt16).alias("kind"),
            column => col(column),
        };
        self.numbers().into_iter().map(key).collect()
    }

    /// The columns that tell groups apart, as numbers.
    pub(crate) fn numbers(self) -> Vec<&'static str> {
        let By { record, server, action } = self.0;
        [(server, "server_id"), (action, "kind"), (record, "record_id")]
            .into_iter()
            .filter_map(|(wanted, column)| wanted.then_some(column))
            .collect()
    }

    /// An answer's columns: its own, and then those that tell groups apart.
    pub(crate) fn after(self, own: &[&'static str]) -> Vec<&'static str> {
        let By { record, server, action } = self.0;
        let record: &[_] = if record { &["resource_id", "host", "type"] } else { &[] };
        let server: &[_] = if server { &["server_id", "server"] } else { &[] };
        let action: &[_] = if action { &["action"] } else { &[] };
        [own, record, server, action].concat()
    }
}

/// The number of the stretch of `length_s` seconds, aligned to the clock, in which `time` lies.
pub(crate) fn number_of_time(length_s: u32) -> Expr {
    let ms = cast(col("time"), DataType::Int64);
    binary_expr(ms, Operator::Divide, lit(i64::from(length_s) * 1000))
}

/// When the stretch with this number begins.
pub(crate) fn instant_of(number: Expr, length_s: u32) -> Expr {
    let ms = binary_expr(number, Operator::Multiply, lit(i64::from(length_s) * 1000));
    cast(ms, instant_type())
}

/// A constant.
pub(crate) fn instant(ms: u64) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(crate::rows::ms(ms)), Some("UTC".into())))
}
