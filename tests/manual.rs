//! What `src/manual/rfc.md` and `src/manual/coming-from-opendj.md` name is there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The names of the file's test functions.
fn tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        is_test |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
        if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test && !line.starts_with("//")) {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            is_test = false;
        }
    }
    names
}

/// The names a test's file goes by: its own, and its folder's.
fn labels(path: &Path) -> impl Iterator<Item = &str> {
    [path.file_stem(), path.parent().and_then(Path::file_name)]
        .into_iter()
        .flatten()
        .filter_map(|name| name.to_str())
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_map_of_specifications_names_what_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut known = HashSet::new();
    for path in ["src", "tests"].iter().flat_map(|folder| rust_files(&root.join(folder))) {
        for test in tests(&std::fs::read_to_string(&path).unwrap()) {
            known.extend(labels(&path).map(|label| format!("{label}::{test}")));
        }
    }
    let is_module = |name: &str| {
        let path = root.join("src").join(name.replace("::", "/"));
        path.with_extension("rs").is_file() || path.join("mod.rs").is_file()
    };
    let map = std::fs::read_to_string(root.join("src/manual/rfc.md")).unwrap();
    let mut faults = BTreeSet::new();
    let mut rows = 0;
    for line in map.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [what, _, modules, shown] = cells.as_slice() else {
            faults.insert(format!("not four cells: {line}"));
            continue;
        };
        if modules.trim() == "modules" {
            continue;
        }
        rows += 1;
        if quoted(modules).next().is_none() || quoted(shown).next().is_none() {
            faults.insert(format!("a row without module or test:{what}"));
        }
        faults
            .extend(quoted(modules).filter(|name| !is_module(name)).map(|name| format!("no module {name}")));
        faults.extend(
            quoted(shown).filter(|name| !known.contains(*name)).map(|name| format!("no test {name}")),
        );
    }
    assert!(rows > 50, "the test reads hardly any row: it no longer fits the map");
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_page_for_who_comes_from_opendj_names_what_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("src/manual/coming-from-opendj.md")).unwrap();
    let (mut faults, mut tools, mut properties) = (Vec::new(), 0, 0);
    let commands = page.split("## ").find(|part| part.starts_with("Commands")).unwrap();
    for row in commands.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [tool, what, _] = cells.as_slice() else { panic!("not three cells: {row}") };
        let tool = quoted(tool).next().unwrap();
        tools += 1;
        let helps =
            std::process::Command::new(env!("CARGO_BIN_EXE_ctsd")).args([tool, "--help"]).output().unwrap();
        match *what {
            "same" | "differs" if !helps.status.success() => faults.push(format!("there is no tool {tool}")),
            "same" | "differs" | "absent" => {}
            other => faults.push(format!("{tool} is neither same, differs nor absent: {other}")),
        }
    }
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let named = quoted(line).filter_map(|text| text.split_once(": "));
        for (class, name) in named.filter(|(class, _)| class.starts_with("ds-cfg-")) {
            properties += 1;
            let component = ctsd::config::components::component(class);
            if !component.is_some_and(|one| one.properties.iter().any(|property| property.name == name)) {
                faults.push(format!("{class} has no property {name}"));
            }
        }
    }
    assert!(tools > 15 && properties > 10, "the test reads hardly any row: {tools}, {properties}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
