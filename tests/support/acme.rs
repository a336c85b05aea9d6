//! An authority of ACME (RFC 8555) that is strict: it takes no request twice, none that is not signed for its address with the
//! account's key, and looks at names by TLS itself (RFC 8737). All names lead to one port of the loopback interface.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509CertificationRequest};

use super::trust::Anybody;

/// From when to when certificates are good, seen from now.
#[derive(Clone, Copy)]
pub struct Terms {
    pub since: Duration,
    pub left: Duration,
}

/// One authority on a free port of the loopback interface.
pub struct Acme {
    port: u16,
    ledger: Arc<Ledger>,
    serving: JoinHandle<()>,
}

impl Acme {
    pub async fn start(terms: Terms) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new([]).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).expect("a root");
        let ledger = Arc::new(Ledger {
            terms,
            base: format!("https://localhost:{port}"),
            root: root.pem(),
            root_der: root.der().clone(),
            issuer: Issuer::new(parameters, key),
            leads_to: watch::channel(None).0,
            books: Mutex::default(),
        });
        let own = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&own, &ledger.issuer).expect("signed");
        let config = ServerConfig::builder_with_provider(crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(own.serialize_der()).into(),
            )
            .expect("a pair");
        let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
        let routes = Router::new().fallback(answer).with_state(ledger.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serving");
        });
        Self {
            port,
            ledger,
            serving,
        }
    }

    pub fn directory(&self) -> String {
        format!("https://localhost:{}/directory", self.port)
    }

    /// The root of all its certificates, its own included.
    pub fn root(&self) -> &str {
        &self.ledger.root
    }

    pub fn root_der(&self) -> &CertificateDer<'static> {
        &self.ledger.root_der
    }

    /// Until this is told, it does not know where names lead.
    pub fn names_lead_to(&self, port: u16) {
        self.ledger.leads_to.send_replace(Some(port));
    }

    /// How many accounts and certificates there are.
    pub fn counts(&self) -> (usize, usize) {
        let books = self.ledger.books();
        let certificates = books.orders.iter().filter(|it| it.chain.is_some());
        (books.accounts.len(), certificates.count())
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Ledger {
    terms: Terms,
    base: String,
    root: String,
    root_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    leads_to: watch::Sender<Option<u16>>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    nonces: HashSet<String>,
    /// Keys of accounts, by their addresses.
    accounts: HashMap<String, Value>,
    orders: Vec<Order>,
}

struct Order {
    account: String,
    domain: String,
    token: String,
    /// Of the check of the name.
    status: &'static str,
    error: Option<String>,
    chain: Option<String>,
}

/// A refusal: its kind, and why.
struct Refusal(&'static str, String);

fn refused(reason: impl ToString) -> Refusal {
    Refusal("malformed", reason.to_string())
}

async fn answer(
    State(ledger): State<Arc<Ledger>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = match ledger.serve(&method, uri.path(), &headers, &body).await {
        Ok(response) => response,
        Err(Refusal(kind, detail)) => {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let problem = json!({ "type": kind, "detail": detail }).to_string();
            (StatusCode::BAD_REQUEST, problem).into_response()
        }
    };
    let nonce = format!("{:032x}", rand::random::<u128>());
    let value = HeaderValue::from_str(&nonce).expect("a header");
    response.headers_mut().insert("replay-nonce", value);
    ledger.books().nonces.insert(nonce);
    response
}

/// What the signer of a request wants, and by which account.
struct Signed {
    payload: Value,
    key: Value,
    account: String,
}

impl Ledger {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn serve(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, Refusal> {
        let (place, number) = match path.rsplit_once('/') {
            Some((place, number)) => (place, number.parse::<usize>().ok()),
            None => (path, None),
        };
        match (method.as_str(), place, number) {
            ("GET", _, None) if path == "/directory" => Ok(json(
                StatusCode::OK,
                &json!({
                    "newNonce": self.at("/nonce"),
                    "newAccount": self.at("/account"),
                    "newOrder": self.at("/order"),
                    "revokeCert": self.at("/revoke"),
                    "keyChange": self.at("/key"),
                }),
            )),
            ("HEAD", _, None) if path == "/nonce" => Ok(StatusCode::OK.into_response()),
            ("POST", ..) => {
                if headers.get("content-type").map(HeaderValue::as_bytes)
                    != Some(b"application/jose+json")
                {
                    return Err(refused("no JOSE"));
                }
                let signed = self.verify(path, body)?;
                self.act(place, number, path, signed).await
            }
            _ => Err(refused(format_args!("{method} {path} is nothing"))),
        }
    }

    /// RFC 8555 section 6.
    fn verify(&self, path: &str, body: &[u8]) -> Result<Signed, Refusal> {
        let jws: Value = serde_json::from_slice(body).map_err(refused)?;
        let part = |name: &str| jws[name].as_str().ok_or_else(|| refused(name));
        let bytes = |text: &str| BASE64.decode(text).map_err(refused);
        let (protected, payload) = (part("protected")?, part("payload")?);
        let header: Value = serde_json::from_slice(&bytes(protected)?).map_err(refused)?;
        if header["url"] != self.at(path) || header["alg"] != "ES256" {
            return Err(refused(format_args!("signed for {header}")));
        }
        let nonce = header["nonce"].as_str().unwrap_or_default();
        if !self.books().nonces.remove(nonce) {
            return Err(Refusal("badNonce", "unknown nonce".to_owned()));
        }
        let (key, account) = match &header["kid"] {
            Value::String(account) if path != "/account" => {
                let key = self.books().accounts.get(account).cloned();
                (key.ok_or_else(|| refused("no account"))?, account.clone())
            }
            _ if path == "/account" => (header["jwk"].clone(), String::new()),
            other => return Err(refused(format_args!("the key is {other}"))),
        };
        let coordinate = |name: &str| bytes(key[name].as_str().unwrap_or_default());
        let point = [&[4][..], &coordinate("x")?, &coordinate("y")?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                format!("{protected}.{payload}").as_bytes(),
                &bytes(part("signature")?)?,
            )
            .map_err(|_| refused("the signature is wrong"))?;
        let payload = match bytes(payload)? {
            empty if empty.is_empty() => Value::Null,
            json => serde_json::from_slice(&json).map_err(refused)?,
        };
        Ok(Signed {
            payload,
            key,
            account,
        })
    }

    async fn act(
        &self,
        place: &str,
        number: Option<usize>,
        path: &str,
        signed: Signed,
    ) -> Result<Response, Refusal> {
        let Signed {
            payload,
            key,
            account,
        } = signed;
        let Some(number) = number else {
            return match path {
                "/account" if payload["termsOfServiceAgreed"] == true => {
                    let mut books = self.books();
                    let address = self.at(&format!("/account/{}", books.accounts.len()));
                    books.accounts.insert(address.clone(), key);
                    Ok(created(&address, &json!({ "status": "valid" })))
                }
                "/order" => {
                    let [name] = payload["identifiers"].as_array().map_or(&[][..], |it| it) else {
                        return Err(refused("one name is taken"));
                    };
                    let mut books = self.books();
                    let number = books.orders.len();
                    books.orders.push(Order {
                        account,
                        domain: name["value"].as_str().unwrap_or_default().to_owned(),
                        token: format!("{:032x}", rand::random::<u128>()),
                        status: "pending",
                        error: None,
                        chain: None,
                    });
                    let address = self.at(&format!("/order/{number}"));
                    Ok(created(
                        &address,
                        &self.order(&books.orders[number], number),
                    ))
                }
                _ => Err(refused(path)),
            };
        };
        {
            let books = self.books();
            let owner = books.orders.get(number).map(|order| &order.account);
            if owner != Some(&account) {
                return Err(refused("not yours"));
            }
        }
        if place == "/challenge" && payload == json!({}) {
            self.check(number, &key).await;
        }
        let mut books = self.books();
        let order = &mut books.orders[number];
        let body = match place {
            "/order" => self.order(order, number),
            "/authorization" => json!({
                "status": order.status,
                "identifier": { "type": "dns", "value": order.domain },
                "challenges": [self.challenge(order, number)],
            }),
            "/challenge" => self.challenge(order, number),
            "/finalize" => {
                let request = payload["csr"].as_str().unwrap_or_default();
                let request = BASE64.decode(request).map_err(refused)?;
                order.chain = Some(self.issue(order, &request)?);
                self.order(order, number)
            }
            "/certificate" => {
                let chain = order.chain.clone().ok_or_else(|| refused("not yet"))?;
                return Ok(chain.into_response());
            }
            _ => return Err(refused(path)),
        };
        Ok(json(StatusCode::OK, &body))
    }

    fn order(&self, order: &Order, number: usize) -> Value {
        let mut value = json!({
            "status": match (order.status, &order.chain) {
                ("valid", Some(_)) => "valid",
                ("valid", None) => "ready",
                (other, _) => other,
            },
            "identifiers": [{ "type": "dns", "value": order.domain }],
            "authorizations": [self.at(&format!("/authorization/{number}"))],
            "finalize": self.at(&format!("/finalize/{number}")),
        });
        if order.chain.is_some() {
            value["certificate"] = self.at(&format!("/certificate/{number}")).into();
        }
        value
    }

    fn challenge(&self, order: &Order, number: usize) -> Value {
        let mut value = json!({
            "type": "tls-alpn-01",
            "url": self.at(&format!("/challenge/{number}")),
            "token": order.token,
            "status": order.status,
        });
        if let Some(error) = &order.error {
            value["error"] = json!({ "detail": error });
        }
        value
    }

    /// Looks whether the name leads to who holds the account.
    async fn check(&self, number: usize, key: &Value) {
        let (domain, token) = {
            let order = &self.books().orders[number];
            (order.domain.clone(), order.token.clone())
        };
        let seen = self.look(&domain, &token, key).await;
        let order = &mut self.books().orders[number];
        order.status = if seen.is_ok() { "valid" } else { "invalid" };
        order.error = seen.err();
    }

    /// RFC 8737 section 3.
    async fn look(&self, domain: &str, token: &str, key: &Value) -> Result<(), String> {
        let mut leads_to = self.leads_to.subscribe();
        let port = leads_to.wait_for(Option::is_some).await;
        let port = port.ok().and_then(|port| *port).unwrap_or_default();
        // RFC 7638: the members in the order of their names, without spaces.
        let thumbprint = format!(
            r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#,
            key["crv"], key["kty"], key["x"], key["y"]
        );
        let thumbprint = BASE64.encode(digest(&SHA256, thumbprint.as_bytes()));
        let wanted = digest(&SHA256, format!("{token}.{thumbprint}").as_bytes());
        let shown = handshake(port, domain, &[b"acme-tls/1"]).await?;
        let (_, certificate) = X509Certificate::from_der(&shown).map_err(|e| e.to_string())?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|it| it.value.general_names.clone());
        if names.as_deref() != Some(&[GeneralName::DNSName(domain)]) {
            return Err(format!("the certificate is for {names:?}"));
        }
        let extension = certificate
            .extensions()
            .iter()
            .find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .ok_or("no acmeIdentifier")?;
        // An octet string of 32 bytes.
        let expected = [&[4, 32], wanted.as_ref()].concat();
        match extension.critical && extension.value == expected {
            true => Ok(()),
            false => Err("the acmeIdentifier is another".to_owned()),
        }
    }

    fn issue(&self, order: &Order, request: &[u8]) -> Result<String, Refusal> {
        if order.status != "valid" {
            return Err(refused("the name is not checked"));
        }
        let (_, request) = X509CertificationRequest::from_der(request).map_err(refused)?;
        let names = request.requested_extensions().into_iter().flatten();
        let names = names.filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.clone()),
            _ => None,
        });
        if names.flatten().collect::<Vec<_>>() != [GeneralName::DNSName(&order.domain)] {
            return Err(refused("other names than those of the order"));
        }
        let mut parameters = CertificateParams::new([order.domain.clone()]).map_err(refused)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        parameters.not_before = epoch + (now - self.terms.since);
        parameters.not_after = epoch + (now + self.terms.left);
        let info = &request.certification_request_info;
        let key = Requested(info.subject_pki.subject_public_key.data.to_vec());
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(certificate.pem())
    }
}

/// The key of a request: its point on the curve.
struct Requested(Vec<u8>);

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Shakes hands as somebody who speaks these protocols, and gives the certificate that is shown.
pub async fn handshake(
    port: u16,
    domain: &str,
    protocols: &[&[u8]],
) -> Result<CertificateDer<'static>, String> {
    let mut config = ClientConfig::builder_with_provider(crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    let stream = TcpStream::connect(("127.0.0.1", port));
    let stream = stream.await.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(domain.to_owned()).map_err(|error| error.to_string())?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connecting.await.map_err(|error| error.to_string())?;
    let connection = stream.get_ref().1;
    if !protocols.is_empty() && connection.alpn_protocol() != Some(protocols[0]) {
        return Err(format!("spoken is {:?}", connection.alpn_protocol()));
    }
    let shown = connection.peer_certificates().unwrap_or_default();
    let shown = shown.first().ok_or("no certificate")?;
    Ok(shown.clone().into_owned())
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, axum::Json(value.clone())).into_response()
}

fn created(address: &str, value: &Value) -> Response {
    let mut response = json(StatusCode::CREATED, value);
    let address = HeaderValue::from_str(address).expect("a header");
    response.headers_mut().insert("location", address);
    response
}

struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.0.accept().await
                && let Ok(stream) = self.1.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
