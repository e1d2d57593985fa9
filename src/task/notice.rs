//! Telling people that a task has ended.

use super::agenda::Task;
use crate::config::Global;

/// Tells who wants to know of a task's end; what went wrong with that.
pub(super) fn send(_task: &Task, _global: &Global, _now_ms: u64) -> Vec<String> {
    Vec::new()
}
