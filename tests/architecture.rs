//! The house rules that no compiler checks: arrows go down, files stay small, names say something.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

/// Rooms by level: a room uses only rooms of a smaller level, or itself.
const LEVELS: &[&[&str]] = &[
    &["clock", "ber"],
    &["name"],
    &["protocol", "ldif"],
    &["schema"],
    &["entry"],
    &["config"],
    &["telemetry", "changelog", "log"],
    &["backend"],
    &["access", "auth", "backup"],
    &["operation", "transfer"],
    &["admin", "task"],
    &["session"],
    &["server"],
    &["cli"],
];

/// The exceptions within a level: `log` is written in terms of `changelog`'s records.
const BESIDE: &[(&str, &str)] = &[("log", "changelog")];

/// Rooms (and files) that may talk to the operating system.
const SYSTEM: &[&str] = &[
    "clock",
    "server",
    "cli",
    "telemetry",
    "log/disk",
    "backend/sled",
    "backup",
    "config/persist",
    "config/instance",
    "schema/load",
    "task",
    "transfer",
];

const MOST_LINES: usize = 500;

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
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The file's lines up to its tests.
fn code(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test_mod = |pair: &[&str]| pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod ");
    let tests = lines.windows(2).position(is_test_mod);
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn arrows_go_down() {
    let mut faults = Vec::new();
    let mut arrows = 0;
    for path in rust_files(&root().join("src")) {
        let Some(from) = room(&path) else { continue };
        let Some(from_level) = level(&from) else { continue };
        if is_test_file(&path) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).iter().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for part in line.split("crate::").skip(1) {
                let to: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(to_level) = level(&to) else { continue };
                arrows += 1;
                let beside = BESIDE.contains(&(from.as_str(), to.as_str()));
                if to != from && to_level >= from_level && !beside {
                    faults.push(format!("{}:{}: {from} uses {to}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(arrows > 50, "the test found hardly any arrow: it no longer reads the code");
    assert!(faults.is_empty(), "arrows that go up:\n{}", faults.join("\n"));
}

#[test]
fn every_room_has_a_level() {
    for path in rust_files(&root().join("src")) {
        let room = room(&path).unwrap();
        let known = level(&room).is_some() || ["lib", "main", "manual"].contains(&room.as_str());
        assert!(known, "{} belongs to no room that has a level", path.display());
    }
}

#[test]
fn files_stay_small() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        if is_test_file(&path) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = code(&text).len();
        if lines > MOST_LINES {
            faults.push(format!("{}: {lines} lines without its tests", path.display()));
        }
    }
    assert!(faults.is_empty(), "files above {MOST_LINES} lines:\n{}", faults.join("\n"));
}

#[test]
fn names_say_something() {
    for folder in ["src", "tests", "bench"] {
        for path in rust_files(&root().join(folder)) {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let junk =
                ["util", "common", "helper", "misc", "stuff"].iter().any(|word| stem.starts_with(word));
            assert!(!junk, "{} is a junk drawer by its name", path.display());
        }
    }
}

#[test]
fn only_the_outer_rooms_talk_to_the_system() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).unwrap().with_extension("");
        let inside = inside.to_str().unwrap();
        let allowed = |room: &&str| *inside == **room || inside.starts_with(&format!("{room}/"));
        if SYSTEM.iter().any(allowed) || is_test_file(&path) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).iter().enumerate() {
            let system = ["std::fs", "std::net::Tcp", "tokio::net", "std::process", "rustix::"];
            if !line.trim_start().starts_with("//") && system.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    faults.retain(|fault| !fault.contains("src/main.rs"));
    assert!(faults.is_empty(), "rooms that should leave the system alone:\n{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    for path in rust_files(&root().join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["unimplemented!(", "todo!("] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}
