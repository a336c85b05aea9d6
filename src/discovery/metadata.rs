//! What the cloud knows of the machine, by its metadata service at a link-local address.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, Response};

use super::{DiscoveryError, is_address};
use crate::http_client::HttpClient;

/// Where all clouds have it, reached from within the machine only.
pub(super) const SERVICE: &str = "http://169.254.169.254";

/// They answer at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest token of EC2 that is sent back.
const MAX_TOKEN: usize = 1_024;

/// Paths that name one address each, and the header that proves that no page of a browser asks.
const PLACES: [(&str, Option<(&str, &str)>); 6] = [
    // Google.
    (
        "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",
        Some(("metadata-flavor", "Google")),
    ),
    // Azure.
    (
        "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text",
        Some(("metadata", "true")),
    ),
    // DigitalOcean.
    ("/metadata/v1/interfaces/public/0/ipv4/address", None),
    ("/metadata/v1/interfaces/public/0/ipv6/address", None),
    // Hetzner.
    ("/hetzner/v1/metadata/public-ipv4", None),
    // OpenStack, and others that have the first form of EC2's.
    ("/latest/meta-data/public-ipv4", None),
];

/// EC2 wants a token first (IMDSv2).
const EC2_TOKEN: &str = "/latest/api/token";
const EC2_PLACES: [&str; 2] = ["/latest/meta-data/public-ipv4", "/latest/meta-data/ipv6"];

/// The public addresses that the service knows, IPv4 first. One at least. All clouds are asked at the same time.
pub(super) async fn addresses(service: &str) -> Result<Vec<IpAddr>, DiscoveryError> {
    let client = HttpClient::new([], PATIENCE).map_err(|_| DiscoveryError::Metadata)?;
    let asked = PLACES.map(|(place, header)| {
        let asking = ask(&client, service, Method::GET, place, header);
        async move { asking.await.as_ref().and_then(read) }
    });
    let (of_ec2, of_others) =
        tokio::join!(ec2(&client, service), futures_util::future::join_all(asked));
    let all = of_ec2.into_iter().chain(of_others.into_iter().flatten());
    let mut found: Vec<IpAddr> = all.filter(is_address).collect();
    found.sort();
    found.dedup();
    match found.is_empty() {
        true => Err(DiscoveryError::Metadata),
        false => Ok(found),
    }
}

async fn ec2(client: &HttpClient, service: &str) -> Vec<IpAddr> {
    let lifetime = Some(("x-aws-ec2-metadata-token-ttl-seconds", "60"));
    let token = ask(client, service, Method::PUT, EC2_TOKEN, lifetime).await;
    let token = token.and_then(|answer| String::from_utf8(answer.into_body().to_vec()).ok());
    let Some(token) = token.filter(|token| token.len() <= MAX_TOKEN) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for place in EC2_PLACES {
        let header = Some(("x-aws-ec2-metadata-token", token.trim()));
        let answer = ask(client, service, Method::GET, place, header).await;
        found.extend(answer.as_ref().and_then(read));
    }
    found
}

/// An answer, where it is a good one.
async fn ask(
    client: &HttpClient,
    service: &str,
    method: Method,
    place: &str,
    header: Option<(&str, &str)>,
) -> Option<Response<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{service}{place}"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::new()).ok()?;
    let answer = client.send(request).await.ok()?;
    answer.status().is_success().then_some(answer)
}

fn read(answer: &Response<Bytes>) -> Option<IpAddr> {
    std::str::from_utf8(answer.body()).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode, Uri};
    use tokio::net::TcpListener;

    use super::*;

    /// A cloud that answers these, where the header is there.
    async fn cloud(
        answers: &[(&'static str, &'static str, &'static str)],
    ) -> Result<Vec<String>, DiscoveryError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("http://{}", listener.local_addr().unwrap());
        let answers: HashMap<_, _> = answers
            .iter()
            .map(|&(place, header, answer)| (place, (header, answer)))
            .collect();
        let serve = move |method: Method, uri: Uri, headers: HeaderMap| {
            let key = format!("{method} {}", uri.path());
            let known = answers.get(key.as_str()).copied();
            let known = known.filter(|(header, _)| {
                let (name, value) = header.split_once('=').unwrap_or(("", ""));
                name.is_empty() || headers.get(name).is_some_and(|given| given == value)
            });
            async move {
                match known {
                    Some((_, answer)) => (StatusCode::OK, answer),
                    None => (StatusCode::NOT_FOUND, "192.0.2.66"),
                }
            }
        };
        let routes = Router::new().fallback(serve);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let found = addresses(&service).await;
        serving.abort();
        Ok(found?.iter().map(IpAddr::to_string).collect())
    }

    #[tokio::test]
    async fn each_cloud_is_asked_as_it_wants_to_be() {
        let google =
            "GET /computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip";
        let found = cloud(&[(google, "metadata-flavor=Google", "203.0.113.5\n")]).await;
        assert_eq!(found.unwrap(), ["203.0.113.5"]);

        let azure = "GET /metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress";
        let found = cloud(&[(azure, "metadata=true", "203.0.113.6")]).await;
        assert_eq!(found.unwrap(), ["203.0.113.6"]);

        let token = "x-aws-ec2-metadata-token=secret";
        let lifetime = "x-aws-ec2-metadata-token-ttl-seconds=60";
        let answers = [
            ("PUT /latest/api/token", lifetime, "secret"),
            ("GET /latest/meta-data/public-ipv4", token, "203.0.113.7"),
            ("GET /latest/meta-data/ipv6", token, "2001:db8::7"),
        ];
        let found = cloud(&answers).await;
        assert_eq!(found.unwrap(), ["203.0.113.7", "2001:db8::7"]);

        let hetzner = "GET /hetzner/v1/metadata/public-ipv4";
        let same = "GET /latest/meta-data/public-ipv4";
        let found = cloud(&[(hetzner, "", "203.0.113.8"), (same, "", "203.0.113.8")]).await;
        assert_eq!(found.unwrap(), ["203.0.113.8"]);
    }

    #[tokio::test]
    async fn what_is_no_address_is_none() {
        let place = "GET /latest/meta-data/public-ipv4";
        for answer in ["", "<html>", "0.0.0.0", "203.0.113.5, 203.0.113.6"] {
            let found = cloud(&[(place, "", answer)]).await;
            assert_eq!(found, Err(DiscoveryError::Metadata), "{answer:?}");
        }
    }
}
