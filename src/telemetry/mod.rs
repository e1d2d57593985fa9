//! What the server tells about itself: counters, the access log, the error log.
//!
//! Nothing here may slow a request down: counters are sharded, logs are handed to a thread of their own through a
//! bounded queue, and what does not fit is dropped and counted.

mod access_log;
mod access_text;
mod log_file;
mod metrics;
mod prometheus;
mod system;
mod trace;

pub use access_log::{AccessLog, Moment, RequestDetails, ResponseDetails};
pub use metrics::{Metrics, OperationTotals, Totals};
pub use prometheus::{CONTENT_TYPE, Exposition};
pub use system::{ProcessReport, disk_space, host};
pub use trace::{ErrorLog, StandardError, TraceOptions, start_tracing};
