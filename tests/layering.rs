//! The core is told the time and handed datagrams: no clock, no socket and no executor is named in it.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders, and single files, of the core.
const CORE: &[&str] = &[
    "shard",
    "transport",
    "forward",
    "rtp",
    "negotiation",
    "room",
    "turn/protocol",
];

/// What must not be named there.
const FORBIDDEN: &[&str] = &["Instant::now", "SystemTime", "tokio", "axum", "UdpSocket"];

#[test]
fn the_core_names_no_clock_no_socket_and_no_executor() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for part in CORE {
        collect(&source.join(part), &mut files);
        let single = source.join(format!("{part}.rs"));
        if single.exists() {
            files.push(single);
        }
    }
    assert!(
        files.len() > CORE.len(),
        "the sources are where they are looked for"
    );
    let tests: Vec<PathBuf> = files.iter().flat_map(|file| test_modules(file)).collect();
    let mut found = Vec::new();
    for file in &files {
        let is_test = |test: &PathBuf| file.starts_with(test) || *file == test.with_extension("rs");
        if tests.iter().any(is_test) {
            continue;
        }
        let text = fs::read_to_string(file).expect("a readable source");
        for (line, words) in offences(&text) {
            let shown = file.strip_prefix(&source).unwrap_or(file).display();
            found.push(format!("src/{shown}:{line} names {words}"));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_what_it_should() {
    let text = "\
//! tokio in a comment is no matter
use std::time::Instant;
fn late() -> Instant { Instant::now() }
fn speak() { say(\"{ tokio\"); } // UdpSocket
#[cfg(test)]
mod tests {
    fn early() { Instant::now(); }
}
use tokio::time;
";
    assert_eq!(
        offences(text),
        vec![(3, "Instant::now".to_owned()), (9, "tokio".to_owned())]
    );
}

/// Where the modules are that a file declares for tests only: paths without extension.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).expect("a readable source");
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => file.with_file_name(""),
        _ => file.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| {
            let (_, name) = pair[1].strip_suffix(';')?.rsplit_once("mod ")?;
            Some(folder.join(name))
        })
        .collect()
}

/// The Rust sources below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Line numbers and the forbidden words there, outside comments, strings and what is under `#[cfg(test)]`.
fn offences(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // Set after `#[cfg(test)]`: the depth of the braces at which its item ends.
    let mut test_item: Option<Skip> = None;
    for (number, line) in text.lines().enumerate() {
        let code = code_of(line);
        if let Some(skip) = &mut test_item {
            if skip.ends_with(&code) {
                test_item = None;
            }
            continue;
        }
        if code.trim_start().starts_with("#[cfg(test)]") {
            let mut skip = Skip::default();
            let rest = code.trim_start().trim_start_matches("#[cfg(test)]");
            if !skip.ends_with(rest) {
                test_item = Some(skip);
            }
            continue;
        }
        for word in FORBIDDEN {
            if code.contains(word) {
                found.push((number + 1, (*word).to_owned()));
            }
        }
    }
    found
}

/// The way through an item to its end: a closing brace, or a semicolon before any brace.
#[derive(Default)]
struct Skip {
    depth: usize,
    opened: bool,
}

impl Skip {
    fn ends_with(&mut self, code: &str) -> bool {
        for character in code.chars() {
            match character {
                '{' => {
                    self.depth += 1;
                    self.opened = true;
                }
                '}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.opened && self.depth == 0 {
                        return true;
                    }
                }
                ';' if !self.opened => return true,
                _ => {}
            }
        }
        false
    }
}

/// A line without its comment and without the contents of its strings and characters.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => break,
            '"' => {
                while let Some(inner) = characters.next() {
                    match inner {
                        '\\' => {
                            characters.next();
                        }
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            // A brace as a character; a lifetime has no quote after the next character.
            '\'' => {
                let mut ahead = characters.clone();
                if ahead.next().is_some() && ahead.next() == Some('\'') {
                    characters = ahead;
                }
            }
            _ => code.push(character),
        }
    }
    code
}
