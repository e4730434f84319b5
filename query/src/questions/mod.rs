//! Questions: what can be asked, and how it is answered.
//!
//! A [`Question`] builds a plan over the tables, runs it, and returns a page of the rows in the columns of its [`Shape`].

mod ask;
mod days;
mod filter;
mod groups;
mod page;
mod plan;
mod question;
mod rates;
mod selection;
mod series;
mod shape;
mod stored;
mod totals;

pub use filter::{By, Filter, Kept};
#[cfg(test)]
pub(crate) use groups::Groups;
pub use page::{Answer, MAX_LIMIT, Page, SortKey};
pub(crate) use plan::Plan;
pub(crate) use question::{Gathered, Question, size};
pub(crate) use selection::servers;
pub(crate) use shape::Shape;
