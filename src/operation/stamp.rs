//! Who changes an entry and when (RFC 4512 §3.4).

use super::answer::Exchange;
use crate::schema::syntax::format_generalized_time;

/// Name and time of a change.
#[derive(Clone)]
pub(super) struct Stamp {
    /// The DN acted as; empty for anonymous.
    pub(super) who: String,
    /// The time, in whole seconds of UTC.
    pub(super) time: String,
}

impl Stamp {
    /// The stamp of a change made now.
    pub(super) fn now(exchange: &Exchange) -> Self {
        let time = format_generalized_time(exchange.directory().clock.wall_ms());
        Self { who: exchange.sight.who.dn.clone(), time }
    }
}
