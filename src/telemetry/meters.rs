//! The counters of all listeners, by name.

use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::{Metrics, Totals};

/// Counters by listener. One is made when it is asked for first, and stays.
#[derive(Debug, Default)]
pub struct Meters {
    all: Mutex<Vec<(String, Arc<Metrics>)>>,
}

impl Meters {
    /// The name for what comes by no listener: the server's own requests, and logins over HTTP.
    pub const INTERNAL: &'static str = "Internal";

    /// The counters of this listener.
    pub fn of(&self, name: &str) -> Arc<Metrics> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(known, _)| known == name) {
            return Arc::clone(found);
        }
        let made = Arc::new(Metrics::default());
        all.push((name.to_owned(), Arc::clone(&made)));
        made
    }

    /// All there are, in the order they were made.
    pub fn all(&self) -> Vec<(String, Arc<Metrics>)> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connections open now, of all listeners.
    pub fn open_connections(&self) -> u64 {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(_, metrics)| metrics.open_connections()).sum()
    }

    /// All listeners' counters added up.
    pub fn totals(&self) -> Totals {
        let mut all = self.all().into_iter().map(|(_, metrics)| metrics.totals());
        let mut sum = all.next().unwrap_or_else(|| Metrics::new(1).totals());
        all.for_each(|totals| sum.merge(&totals));
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::message::OperationKind;
    use crate::protocol::result::ResultCode;

    #[test]
    fn listeners_count_apart_and_add_up() {
        let meters = Meters::default();
        for name in ["a", "b", "a"] {
            let metrics = meters.of(name);
            metrics.connected();
            metrics.request(OperationKind::Add);
            metrics.response(OperationKind::Add, ResultCode::SUCCESS, Duration::from_micros(5));
        }
        meters.of("b").keep(false);
        meters.of("b").request(OperationKind::Add);
        let counts: Vec<u64> = meters.all().iter().map(|(_, metrics)| metrics.totals().initiated()).collect();
        assert_eq!(counts, [2, 1]);
        let totals = meters.totals();
        assert_eq!((totals.initiated(), totals.completed(), totals.total_connections), (3, 3, 3));
        assert_eq!(meters.open_connections(), 3);
        let add = totals.operations.iter().find(|one| one.kind == OperationKind::Add).unwrap();
        assert_eq!(add.codes, [(ResultCode::SUCCESS, 3)]);
        assert_eq!(add.latencies.percentile(50.0), Duration::from_micros(5));
    }
}
