//! Whether browsers take a certificate: its time, its names, and who vouches for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls;
use x509_parser::prelude::{FromDer, X509Certificate};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::finding::Finding;
use super::reach::resolve;
use crate::config::Config;
use crate::entrance::{AcmeConfig, CertificateSource, name_of, read_certificate};

const CHECK: &str = "certificate";
const DAY: i64 = 86_400;
/// Who renews it by a machine has done so long before.
const SOON_DAYS: i64 = 14;
/// Names that are shown.
const SHOWN_NAMES: usize = 4;

/// What a browser would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Goes on.
    Given,
    /// Warns or refuses, for this reason.
    Refused(String),
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    /// It was good until so many days ago.
    Expired(i64),
    /// It is good from so many days on.
    Early(i64),
    /// It is good for so many days yet.
    Soon(i64),
    /// It is for other names than this.
    OtherNames(String),
    /// Nobody else vouches for it.
    SelfSigned,
    /// It leads to nobody whom this machine trusts.
    Unvouched,
    /// It is no certificate for this use.
    Unusable(String),
}

/// A certificate that was looked at.
#[derive(Debug)]
struct Examined {
    /// Whom it is for.
    names: Vec<String>,
    /// How many days it is good for.
    days: i64,
    flaws: Vec<Flaw>,
}

/// What this machine's configuration says of it.
pub(super) fn here(config: &Config, turn_host: Option<&str>, only_loopback: bool) -> Vec<Finding> {
    match &config.tls {
        Some(CertificateSource::Files { chain, key }) => match read_certificate(chain, key) {
            Err(error) => vec![Finding::failure(
                CHECK,
                error.to_string(),
                "name the PEM file of the whole chain (fullchain.pem) with --tls-cert and that of its key (privkey.pem) with --tls-key, which \
                 the server's account may read",
            )],
            Ok(certified) => judge(&certified.cert, turn_host),
        },
        Some(CertificateSource::Acme(acme)) => gained(acme, turn_host),
        Some(CertificateSource::SelfSigned { .. }) => vec![Finding::warning(
            CHECK,
            "it is made here (--tls self): browsers ask whether to trust it, and take no TURN over TLS with it",
            "in a local network that is as it has to be; where people come from the Internet, let the server ask for one of its name \
             (--acme-domain), or give it one with --tls-cert and --tls-key",
        )],
        None if only_loopback => vec![Finding::not_checked(
            CHECK,
            "the server speaks HTTP: browsers give a page the camera on localhost, elsewhere a proxy has to speak HTTPS",
        )],
        None => vec![Finding::warning(
            CHECK,
            "the server speaks HTTP to others: browsers give a page the camera only over HTTPS",
            "let the server ask for a certificate (--acme-domain), or give it one with --tls-cert and --tls-key, or --tls self in a local \
             network, or let a proxy speak HTTPS",
        )],
    }
}

/// What an authority gave so far. Nobody is asked.
fn gained(acme: &AcmeConfig, turn_host: Option<&str>) -> Vec<Finding> {
    let file = acme.certificate_file();
    match file.try_exists() {
        Ok(false) => {
            let seen = format!(
                "the authority gave none until now (there is no {}): the server asks for one when it runs",
                file.display()
            );
            return vec![Finding::not_checked(CHECK, seen)];
        }
        Ok(true) => {}
        Err(error) => {
            let seen = format!(
                "{} cannot be looked at: {error}; run the doctor as the server's user",
                file.display()
            );
            return vec![Finding::not_checked(CHECK, seen)];
        }
    }
    match read_certificate(&file, &file) {
        Ok(certified) => {
            let domains = acme.domains.iter().map(String::as_str);
            let mut findings = Vec::new();
            for host in domains.chain(turn_host) {
                for finding in judge(&certified.cert, Some(host)) {
                    if !findings.contains(&finding) {
                        findings.push(finding);
                    }
                }
            }
            findings
        }
        Err(error) => vec![Finding::failure(
            CHECK,
            error.to_string(),
            "run the doctor as the server's user; if it is the same then, take the file away: the server asks for another one",
        )],
    }
}

/// Whether the names that an authority is asked for lead to one of these addresses, as it wants to see.
pub(super) async fn names_lead_here(acme: &AcmeConfig, addresses: &[IpAddr]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for domain in acme.domains.iter().take(SHOWN_NAMES) {
        findings.push(match resolve(domain, 443).await {
            Ok(found) => leads(domain, &found, addresses),
            Err(error) => Finding::failure(
                CHECK,
                format!("{domain} is not known here ({error}): no authority gives a certificate for it"),
                "give the name an A record (and AAAA, with IPv6) with the server's address, and wait until it is known",
            ),
        });
    }
    findings
}

fn leads(domain: &str, found: &[SocketAddr], addresses: &[IpAddr]) -> Finding {
    let (here, elsewhere): (Vec<IpAddr>, Vec<IpAddr>) = found
        .iter()
        .map(|address| address.ip().to_canonical())
        .partition(|ip| addresses.contains(ip));
    if elsewhere.is_empty() && !here.is_empty() {
        return Finding::ok(CHECK, format!("{domain} leads here"));
    }
    let elsewhere: Vec<String> = elsewhere.iter().map(IpAddr::to_string).collect();
    Finding::warning(
        CHECK,
        format!(
            "{domain} leads to {}, which is neither this machine's nor announced: the authority asks there",
            elsewhere.join(", ")
        ),
        "correct the name's records, if that is not where the server is reached; where it is, --announce it",
    )
}

/// What is to be said of a chain that is shown to whoever asks for `host`.
pub(super) fn judge(chain: &[CertificateDer<'_>], host: Option<&str>) -> Vec<Finding> {
    let Some(examined) = examine(chain, host, now(), roots()) else {
        let fix = "renew the certificate: this is none, or one of another kind than HTTPS has";
        return vec![Finding::failure(CHECK, "it cannot be read", fix)];
    };
    let names = shown(&examined.names);
    let mut findings: Vec<Finding> = examined
        .flaws
        .iter()
        .map(|flaw| flaw.finding(&names))
        .collect();
    if findings.is_empty() {
        let days = examined.days;
        let seen = format!(
            "it is for {names}, good for {days} days, and this machine trusts who signed it"
        );
        findings.push(Finding::ok(CHECK, seen));
    }
    findings
}

/// What a browser would do that is shown this chain by `host`.
pub(super) fn trust(chain: &[CertificateDer<'_>], host: &str) -> Trust {
    let Some(examined) = examine(chain, Some(host), now(), roots()) else {
        return Trust::Refused("it is none that can be read".to_owned());
    };
    let mut severe = examined
        .flaws
        .iter()
        .filter(|flaw| !matches!(flaw, Flaw::Soon(_)));
    match severe.next() {
        Some(flaw) => Trust::Refused(flaw.finding(&shown(&examined.names)).seen),
        None => Trust::Given,
    }
}

impl Flaw {
    fn finding(&self, names: &str) -> Finding {
        let renew = "renew it where it is from; the server reads files again by itself, and with --acme-domain it renews it by itself";
        match self {
            Self::Expired(days) => {
                Finding::failure(CHECK, format!("it expired {days} days ago"), renew)
            }
            Self::Early(days) => Finding::failure(
                CHECK,
                format!("it is good in {days} days, and not yet"),
                "set this machine's clock, if it is wrong (timedatectl), or ask for another certificate",
            ),
            Self::Soon(days) => Finding::warning(
                CHECK,
                format!("it expires in {days} days"),
                format!("{renew}; look why nothing renewed it until now"),
            ),
            Self::OtherNames(host) => Finding::failure(
                CHECK,
                format!("it is for {names}, and not for {host}"),
                format!("get one for {host}, or reach the server by a name that it has"),
            ),
            Self::SelfSigned => Finding::warning(
                CHECK,
                "it is signed by itself: browsers ask whether to trust it, and take no TURN over TLS with it",
                "in a local network that may do; else get one from an authority that browsers trust (--acme-domain)",
            ),
            Self::Unvouched => Finding::failure(
                CHECK,
                "it leads to no authority that this machine trusts",
                "give --tls-cert the whole chain (fullchain.pem, and not cert.pem); if the authority is your own, install it on every \
                 device, and say it here with SSL_CERT_FILE",
            ),
            Self::Unusable(why) => Finding::failure(
                CHECK,
                format!("it cannot be used: {why}"),
                "get another one; with --acme-domain the server asks for it by itself",
            ),
        }
    }
}

/// `None` for what is no certificate.
fn examine(
    chain: &[CertificateDer<'_>],
    host: Option<&str>,
    now: i64,
    roots: &RootCertStore,
) -> Option<Examined> {
    let (own, others) = chain.split_first()?;
    let (_, certificate) = X509Certificate::from_der(own).ok()?;
    let parsed = ParsedCertificate::try_from(own).ok()?;
    let (from, until) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    let mut flaws = Vec::new();
    if until < now {
        flaws.push(Flaw::Expired((now - until).div_euclid(DAY)));
    } else if now < from {
        flaws.push(Flaw::Early((from - now).div_euclid(DAY) + 1));
    } else if until - now < SOON_DAYS * DAY {
        flaws.push(Flaw::Soon((until - now).div_euclid(DAY)));
    }
    if let Some(host) = host {
        let name = ServerName::try_from(host.to_owned());
        if name.is_err() || name.is_ok_and(|name| verify_server_name(&parsed, &name).is_err()) {
            flaws.push(Flaw::OtherNames(host.to_owned()));
        }
    }
    let signed_by_itself = certificate.issuer().as_raw() == certificate.subject().as_raw();
    // Whoever vouched for it did so for its own time.
    let at = now
        .clamp(from, until.max(from))
        .try_into()
        .unwrap_or_default();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
    let algorithms = ring::default_provider()
        .signature_verification_algorithms
        .all;
    let vouched = verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, at, algorithms);
    match vouched {
        Ok(()) => {}
        Err(_) if signed_by_itself => flaws.push(Flaw::SelfSigned),
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            flaws.push(Flaw::Unvouched);
        }
        Err(error) => flaws.push(Flaw::Unusable(error.to_string())),
    }
    Some(Examined {
        names: names(&certificate),
        days: (until - now).div_euclid(DAY),
        flaws,
    })
}

/// Whom a certificate is for (RFC 5280 section 4.2.1.6).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names
        .into_iter()
        .flat_map(|names| &names.value.general_names);
    let names = names.filter_map(name_of);
    names.collect()
}

fn shown(names: &[String]) -> String {
    match names.len() {
        0 => "no name".to_owned(),
        1..=SHOWN_NAMES => names.join(", "),
        all => format!(
            "{} and {} more",
            names[..SHOWN_NAMES].join(", "),
            all - SHOWN_NAMES
        ),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// The authorities that this machine trusts.
fn roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        roots
    })
}

/// TLS with whomever: what is shown is judged by [`judge`] and [`trust`] afterwards.
pub(super) fn taking_any() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms(&provider))))
        .with_no_client_auth();
    Ok(config)
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// Takes every certificate whose holder has its key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::super::Outcome;
    use super::*;

    const YEAR: i64 = 365 * DAY;

    /// Good from 2020 on for two years, for `call.example.org`.
    fn parameters() -> CertificateParams {
        let mut parameters = CertificateParams::new(["call.example.org".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2022, 1, 1);
        parameters
    }

    const START: i64 = 1_577_836_800;
    const END: i64 = START + 731 * DAY;

    fn issued() -> (Vec<CertificateDer<'static>>, RootCertStore) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Authority");
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters().signed_by(&key, &authority).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        (vec![certificate.der().clone()], roots)
    }

    #[test]
    fn time_names_and_authority_are_told_apart() {
        let (chain, roots) = issued();
        let nobody = RootCertStore::empty();
        let flaws = |host, now, roots| examine(&chain, Some(host), now, roots).unwrap().flaws;
        let (host, now) = ("call.example.org", START + YEAR);
        assert_eq!(flaws(host, now, &roots), []);
        assert_eq!(flaws(host, END - 13 * DAY, &roots), [Flaw::Soon(13)]);
        assert_eq!(flaws(host, END + 3 * DAY + 1, &roots), [Flaw::Expired(3)]);
        assert_eq!(flaws(host, START - 1, &roots), [Flaw::Early(1)]);
        assert_eq!(
            flaws("example.org", now, &roots),
            [Flaw::OtherNames("example.org".to_owned())]
        );
        assert_eq!(flaws(host, now, &nobody), [Flaw::Unvouched]);
        let all = flaws("a_b c", END + DAY, &nobody);
        assert!(
            matches!(
                all[..],
                [Flaw::Expired(_), Flaw::OtherNames(_), Flaw::Unvouched]
            ),
            "{all:?}"
        );
        let examined = examine(&chain, None, now, &roots).unwrap();
        assert_eq!(
            (examined.names, examined.days),
            (vec![host.to_owned()], 366)
        );
        assert!(examine(&[CertificateDer::from(vec![1, 2, 3])], None, now, &roots).is_none());
        assert!(examine(&[], None, now, &roots).is_none());
    }

    #[test]
    fn one_that_is_signed_by_itself_is_called_that() {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters().self_signed(&key).unwrap();
        let chain = [certificate.der().clone()];
        let nobody = RootCertStore::empty();
        let flaws = examine(&chain, None, START + YEAR, &nobody).unwrap().flaws;
        assert_eq!(flaws, [Flaw::SelfSigned]);
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let flaws = examine(&chain, None, START + YEAR, &roots).unwrap().flaws;
        assert_eq!(flaws, []);
    }

    #[test]
    fn a_name_has_to_lead_here() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 443);
        let found = [address("203.0.113.5"), address("2001:db8::5")];
        let here = found.map(|address| address.ip());
        assert_eq!(leads("a.org", &found, &here).outcome, Outcome::Ok);
        let other = leads("a.org", &found, &here[..1]);
        assert_eq!(other.outcome, Outcome::Warning);
        assert!(
            other.seen.contains("leads to 2001:db8::5, which"),
            "{}",
            other.seen
        );
    }

    #[test]
    fn names_are_shown_as_far_as_they_fit() {
        let names: Vec<String> = (0..6).map(|n| format!("{n}.org")).collect();
        assert_eq!(shown(&names[..2]), "0.org, 1.org");
        assert_eq!(shown(&names), "0.org, 1.org, 2.org, 3.org and 2 more");
        assert_eq!(shown(&[]), "no name");
    }
}
