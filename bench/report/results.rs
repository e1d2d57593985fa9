//! The load driver's JSON.

use std::error::Error;
use std::path::Path;

use serde_json::Value;

/// One phase of a run.
#[derive(Debug, Clone)]
pub(crate) struct Phase(Value);

/// The phases of a result file, in the order run.
pub(crate) fn phases(file: &Path) -> Result<Vec<Phase>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(value["phases"].as_array().into_iter().flatten().cloned().map(Phase).collect())
}

impl Phase {
    pub(crate) fn name(&self) -> &str {
        self.0["phase"].as_str().unwrap_or_default()
    }

    /// A number of the phase as a whole.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or(f64::NAN)
    }

    /// Seconds, each with its operations, p50, p99 and maximum in milliseconds.
    pub(crate) fn by_second(&self) -> Vec<[f64; 4]> {
        let row = |second: &Value| [0, 1, 2, 3].map(|index| second[index].as_f64().unwrap_or(0.0));
        self.0["by_second"].as_array().into_iter().flatten().map(row).collect()
    }

    fn kinds(&self) -> impl Iterator<Item = &Value> {
        // Heartbeats beside the load are not its own.
        let own = |kind: &&Value| kind["kind"] != "heartbeat" || self.name() == "heartbeat";
        self.0["kinds"].as_array().into_iter().flatten().filter(own)
    }

    /// A latency in milliseconds, of all kinds together: their mean weighted by count.
    pub(crate) fn mean_of_kinds(&self, name: &str) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for kind in self.kinds() {
            let operations = kind["operations"].as_f64().unwrap_or(0.0);
            sum += operations * kind[name].as_f64().unwrap_or(0.0);
            count += operations;
        }
        sum / count
    }

    /// The greatest of the kinds' latencies, in milliseconds.
    pub(crate) fn worst_of_kinds(&self, name: &str) -> f64 {
        self.kinds().filter_map(|kind| kind[name].as_f64()).fold(0.0, f64::max)
    }

    /// Pairs of quantile and milliseconds of one kind.
    pub(crate) fn quantiles(&self, kind: &str) -> Vec<(f64, f64)> {
        let found = self.kinds().find(|found| found["kind"] == kind);
        let pairs = found.and_then(|found| found["quantiles_ms"].as_array());
        pairs.into_iter().flatten().filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?))).collect()
    }

    /// Answers that were not as foreseen.
    pub(crate) fn wrong(&self) -> u64 {
        let counts = |kind: &Value| -> u64 {
            kind["errors"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
        };
        self.kinds().map(counts).sum()
    }
}

/// The middle one; of an even number, the mean of the middle two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}
