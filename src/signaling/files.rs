//! The page's files, built into the binary.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};

static WEB: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");

/// All files of the page, by path without the leading slash.
#[derive(Debug)]
pub(super) struct Files {
    file_by_path: HashMap<&'static str, File>,
}

#[derive(Debug)]
struct File {
    bytes: &'static [u8],
    content_type: &'static str,
    /// A strong entity tag (RFC 9110 section 8.8.3).
    etag: HeaderValue,
}

impl Files {
    /// The files as they were when the binary was built.
    pub(super) fn embedded() -> Self {
        let mut file_by_path = HashMap::new();
        collect(&WEB, &mut file_by_path);
        Self { file_by_path }
    }

    /// The file at `path`; 304 when the browser has it, 404 in words when there is none.
    pub(super) fn respond(&self, path: &str, request: &HeaderMap) -> Response {
        let Some(file) = self.file_by_path.get(path) else {
            return not_found();
        };
        // `no-cache` lets browsers keep it but ask each time, so that a new server brings its new page at once.
        let headers = [
            (header::ETAG, file.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        let known = request
            .get(header::IF_NONE_MATCH)
            .is_some_and(|tags| has_tag(tags, &file.etag));
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = [(
            header::CONTENT_TYPE,
            HeaderValue::from_static(file.content_type),
        )];
        (headers, content_type, file.bytes).into_response()
    }
}

/// 404, in words.
pub(super) fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        "There is nothing here. Rooms are at /r/NAME.\n",
    )
        .into_response()
}

fn collect(dir: &'static Dir<'static>, file_by_path: &mut HashMap<&'static str, File>) {
    for file in dir.files() {
        let Some(path) = file.path().to_str() else {
            continue;
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(file.contents());
        let Ok(etag) = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish())) else {
            continue;
        };
        let file = File {
            bytes: file.contents(),
            content_type: content_type(path),
            etag,
        };
        file_by_path.insert(path, file);
    }
    for dir in dir.dirs() {
        collect(dir, file_by_path);
    }
}

fn has_tag(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else {
        return false;
    };
    // The comparison is the weak one (RFC 9110 section 13.1.2): a proxy that compresses makes tags weak.
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn content_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wasm" => "application/wasm",
        "md" | "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_in_lists_and_weakened() {
        let etag = HeaderValue::from_static("\"ab\"");
        let matches = |tags: &'static str| has_tag(&HeaderValue::from_static(tags), &etag);
        assert!(matches("\"ab\""));
        assert!(matches("\"cd\", W/\"ab\""));
        assert!(matches("*"));
        assert!(!matches("\"abc\""));
    }
}
