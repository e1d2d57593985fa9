//! The properties file: defaults for connection options, as OpenDJ's tools keep them in `~/.opendj/tools.properties`.

use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Lines `name=value` or `name: value`; `ldapsearch.port` holds for that tool alone and goes before `port`.
#[derive(Debug, Default)]
pub(super) struct Properties {
    lines: Vec<(String, String)>,
    tool: &'static str,
}

impl Properties {
    /// Reads the file named, or the one in the home directory if there is one.
    pub(super) fn read(named: Option<&Path>, tool: &'static str) -> Result<Self, Failure> {
        let file = match named {
            Some(file) => file.to_owned(),
            None => {
                let Some(home) = std::env::var_os("HOME") else { return Ok(Self::default()) };
                let file = PathBuf::from(home).join(".opendj/tools.properties");
                if !file.is_file() {
                    return Ok(Self::default());
                }
                file
            }
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::new(format!("--propertiesFilePath {}: {error}", file.display())))?;
        Ok(Self::parse(&text, tool))
    }

    fn parse(text: &str, tool: &'static str) -> Self {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
            .filter_map(|line| line.split_once(['=', ':']))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Self { lines, tool }
    }

    /// The value for an option's long name.
    pub(super) fn get(&self, option: &str) -> Option<&str> {
        let own = format!("{}.{option}", self.tool);
        let find = |wanted: &str| {
            self.lines.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        find(&own).or_else(|| find(option))
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, option: &str) -> bool {
        self.get(option).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_own_line_goes_first() {
        let text = "# defaults\nhostname=ds.example.com\nport=1389\nldapsearch.port: 2389\nuseSSL = true\n";
        let search = Properties::parse(text, "ldapsearch");
        assert_eq!(search.get("port"), Some("2389"));
        assert_eq!(search.get("hostname"), Some("ds.example.com"));
        assert!(search.is_on("useSSL") && !search.is_on("trustAll"));
        assert_eq!(Properties::parse(text, "ldapmodify").get("port"), Some("1389"));
    }
}
