//! Tables in plans: the providers that DataFusion sees, filter push-down, and the scans that read them.

mod explain;
mod pushdown;
mod scan;
mod store_table;

pub(crate) use pushdown::{BATCH_ROWS, both, dimension, seconds};
pub(crate) use scan::{StoreScan, is_same};
pub(crate) use store_table::{StoreTable, projected};
