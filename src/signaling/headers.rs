//! What every answer tells the browser about security.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;

/// Nothing inline, and nothing from elsewhere, runs in the page; it is shown in nobody else's, and talks to this server only.
/// `'self'` is not enough for WebSockets in older browsers, so that the address is named, too.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self' blob:; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self'; connect-src 'self'";

/// What is the same in every answer.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        // The same as `frame-ancestors`, for who does not know that.
        header::X_FRAME_OPTIONS,
        HeaderValue::from_static("SAMEORIGIN"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), microphone=(self), display-capture=(self)"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// A browser that was here by HTTPS comes by HTTPS only, for a year (RFC 6797).
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds them to all answers of these routes. `by_https_only` where browsers trust the certificate, and are to insist on it.
pub(super) fn on_all(routes: Router, by_https_only: bool) -> Router {
    routes.layer(from_fn(move |request, next| {
        add(request, next, by_https_only)
    }))
}

async fn add(request: Request, next: Next, by_https_only: bool) -> Response {
    let host = host(request.headers()).map(str::to_owned);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let host = host.as_deref();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if let Ok(policy) = policy(host).try_into() {
        let policy: HeaderValue = policy;
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(policy);
    }
    // On one's own machine other programs share the name.
    if by_https_only && !host.is_some_and(is_this_machine) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    }
    response
}

fn policy(host: Option<&str>) -> String {
    host.map_or_else(
        || POLICY.to_owned(),
        |host| format!("{POLICY} ws://{host} wss://{host}"),
    )
}

/// The address that the client believes to talk to: a name or an IP address, with or without a port.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_host = !host.is_empty() && host.len() <= 300 && host.bytes().all(is_part);
    is_host.then_some(host)
}

fn is_this_machine(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_that_changes_the_policy() {
        for (text, is_host) in [
            ("example.org", true),
            ("192.0.2.1:8080", true),
            ("[2001:db8::1]:8080", true),
            ("", false),
            ("a; script-src *", false),
            ("a,b", false),
            ("a'b\"c", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, text.parse().unwrap());
            assert_eq!(host(&headers), is_host.then_some(text));
        }
        assert!(is_this_machine("localhost:8443") && is_this_machine("a.localhost"));
        assert!(!is_this_machine("localhost.example.org"));
    }
}
