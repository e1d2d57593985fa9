//! `cn=Tasks`: work that an administrator hands to the server as an entry, and that goes on after the answer.
//!
//! What may enter: task entries ([`CnTasks`]), what is to happen when (`agenda`, which knows neither threads nor clock),
//! what drives it (`runner`), what outlives the process (`file`), and what the classes do (`works`). A new class is a
//! [`Work`], a [`Class`] that makes it from an entry's attributes, and a line in the table of `works`.

mod agenda;
mod class;
mod cn_tasks;
mod file;
mod notice;
mod order;
mod runner;
mod schedule;
mod state;
#[cfg(test)]
mod tests;
mod trust;
mod works;

pub use class::{Class, Classes, Construct, Context, Done, Handle, Host, Severity, Source, Work};
pub use cn_tasks::CnTasks;
pub use state::State;
pub(crate) use works::{Following, figures, scheme_of, verify};
