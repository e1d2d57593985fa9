//! A plan in words, and what no index serves.

use std::fmt::Write;

use super::index_store::Estimate;
use super::plan::{Driver, ESTIMATE_BOUND, Plan, Planner};
use super::store::{PlanReport, Query};
use super::view::View;
use crate::entry::Node;
use crate::protocol::message::Scope;

impl Plan {
    /// Whether what drives is an index or so small that none is needed; and the plan in words.
    pub(crate) fn report(&self, view: &View, query: &Query) -> PlanReport {
        let mut text = String::new();
        let filter = &query.filter.root;
        let scope = match query.scope {
            Scope::Base => "baseObject",
            Scope::One => "singleLevel",
            Scope::Subtree => "wholeSubtree",
            Scope::Subordinate => "subordinateSubtree",
        };
        let indexed = self.is_indexed;
        match &self.driver {
            Driver::Base => {
                let _ = write!(text, "filter={filter} scope={scope} final=[COUNT:1]");
            }
            Driver::Indexes(branches) => {
                let _ = write!(text, "filter={filter}");
                let mut total = Estimate { keys: 0, is_more: false };
                for branch in branches {
                    let range = &branch.range;
                    let kind = if range.is_exact { "" } else { "[RANGE]" };
                    let _ = write!(text, "[INDEX:{}]{kind}[COUNT:{}]", range.index.name, count(range.keys));
                    if !range.checks.is_empty() {
                        let _ = write!(text, "[CHECKED:{}]", range.checks.len());
                    }
                    total.keys += range.keys.keys;
                    total.is_more |= range.keys.is_more;
                }
                let _ = write!(text, " scope={scope} final=[COUNT:{}]", count(total));
            }
            Driver::Children | Driver::Subtree => {
                let base = view.find(query.base.as_bytes()).ok().flatten();
                let children =
                    base.and_then(|id| view.store.slot(id).ok().flatten()).map_or(0, |slot| slot.children);
                let _ = write!(text, "filter={filter}[NOT-INDEXED] scope={scope}");
                let _ = match indexed {
                    true => write!(text, "[CHILDREN:{children}] final=[COUNT:{children}]"),
                    false => write!(text, " final=[NOT-INDEXED]"),
                };
            }
        }
        let unindexed_part = (!indexed).then(|| {
            let indexes = view.indexes.load_full();
            let mut planner = Planner { view, indexes: &indexes, given: None, choices: Vec::new() };
            planner.culprit(filter).to_string()
        });
        PlanReport { indexed, unindexed_part, explanation: text }
    }
}

fn count(estimate: Estimate) -> String {
    if estimate.is_more { format!("more than {ESTIMATE_BOUND}") } else { estimate.keys.to_string() }
}

impl Planner<'_> {
    /// The smallest part that no index serves.
    fn culprit<'n>(&mut self, node: &'n Node) -> &'n Node {
        match node {
            Node::Or(nodes) => {
                let unserved = nodes.iter().find(|node| matches!(self.node(node), Ok(None)));
                unserved.map_or(node, |unserved| self.culprit(unserved))
            }
            Node::And(nodes) => match nodes.as_slice() {
                [only] => self.culprit(only),
                _ => node,
            },
            _ => node,
        }
    }
}
