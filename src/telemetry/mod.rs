//! What the server tells about itself: counters, access and audit logs, the error log.
//!
//! Nothing here may slow a request down: counters are sharded, log records are copied into a bounded buffer
//! that a thread of the logs' own writes out, and what does not fit is dropped and counted.

mod access_json;
mod access_log;
mod access_text;
mod audit;
mod latency;
mod log_file;
mod log_filter;
mod meters;
mod metrics;
mod prometheus;
mod publisher;
mod sink;
mod stamp;
mod system;
mod trace;

pub use access_log::AccessLog;
pub use latency::Latencies;
pub use meters::Meters;
pub use metrics::{Metrics, OperationTotals, Totals};
pub use prometheus::{CONTENT_TYPE, Exposition};
pub use publisher::{LogReport, LoggedEnd, LoggedRequest};
pub use system::{ProcessReport, disk_space, host};
pub use trace::{ErrorLog, StandardError, TraceOptions, start_tracing};
