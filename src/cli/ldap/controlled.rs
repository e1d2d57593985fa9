//! Options for controls that several tools take.

use clap::Args;

use super::control::{OwnedControl, assertion, proxied};
use crate::cli::Failure;

#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ControlOptions {
    /// Send a control; names such as `noop` or `managedsait` stand for their OIDs.
    #[arg(short = 'J', long = "control", value_name = "OID[:CRITICALITY[:VALUE|::B64VALUE|:<FILE]]")]
    control: Vec<String>,
    /// Do it only if the entry matches this filter (assertion control).
    #[arg(long = "assertionFilter", value_name = "FILTER")]
    assertion_filter: Option<String>,
    /// Do it as somebody else (proxied authorization control): `dn:` and a DN, or `u:` and a user name.
    #[arg(short = 'Y', long = "proxyAs", value_name = "AUTHZID")]
    proxy_as: Option<String>,
}

impl ControlOptions {
    /// The controls asked for.
    pub(in crate::cli) fn controls(&self) -> Result<Vec<OwnedControl>, Failure> {
        let mut controls = Vec::new();
        for text in &self.control {
            let control = OwnedControl::parse(text);
            controls.push(control.map_err(|reason| Failure::new(format!("--control {text}: {reason}")))?);
        }
        if let Some(filter) = &self.assertion_filter {
            let control = assertion(filter);
            controls.push(
                control.map_err(|reason| Failure::new(format!("--assertionFilter {filter}: {reason}")))?,
            );
        }
        controls.extend(self.proxy_as.as_deref().map(proxied));
        Ok(controls)
    }
}
