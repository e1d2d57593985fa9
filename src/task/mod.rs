//! `cn=Tasks`: work that an administrator hands to the server as an entry, and that goes on after the answer.
//!
//! What may enter: the task entries, what runs behind them, and what they tell. Kept in memory: a restart forgets them.
//! So far a task starts at once; schedules, dependencies and notifications are refused.

mod cn_tasks;
mod request;
#[cfg(test)]
mod tests;
mod work;

pub use cn_tasks::CnTasks;
pub(crate) use work::{figures, verify_lines};

/// Where a task stands (features.md §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Succeeded,
    /// It could not do, or found something that is not right.
    Failed,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "COMPLETED_SUCCESSFULLY",
            Self::Failed => "COMPLETED_WITH_ERRORS",
        }
    }
}
