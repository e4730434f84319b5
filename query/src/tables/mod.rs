//! Tables in plans: what DataFusion sees of them, which rows it can choose, and the scan that reads them.

mod explain;
mod pushdown;
mod scan;
mod store_table;

pub(crate) use pushdown::{BATCH_ROWS, dimension, seconds};
pub(crate) use scan::{StoreScan, is_same};
pub(crate) use store_table::{StoreTable, projected};
