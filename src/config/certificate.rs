//! Where the certificate of HTTPS comes from, out of the options that speak of it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::check::{ConfigError, http_url, wrong};
use super::options::Options;
use super::values::TlsMode;
use crate::entrance::{AcmeConfig, CertificateSource, LETS_ENCRYPT, MAX_DOMAINS};

/// Longest address of a person (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL: usize = 254;

pub(super) fn certificate_source(
    options: &Options,
) -> Result<Option<CertificateSource>, ConfigError> {
    let files = "both --tls-cert and --tls-key";
    let names = "with --acme-domain, the name that the certificate is for";
    let pair = (&options.tls_cert, &options.tls_key);
    let is_acme = options.acme_domain.is_some();
    let mode = options.tls.unwrap_or(match pair {
        (None, None) if is_acme => TlsMode::Acme,
        (None, None) => TlsMode::Off,
        _ => TlsMode::Files,
    });
    if mode != TlsMode::Acme {
        for (option, is_said) in [
            ("acme-domain", is_acme),
            ("acme-email", options.acme_email.is_some()),
            ("acme-directory", options.acme_directory.is_some()),
            ("acme-root", options.acme_root.is_some()),
        ] {
            if is_said {
                return Err(wrong(option, "said", "only with --tls acme"));
            }
        }
    }
    match (mode, pair) {
        (TlsMode::Files, (Some(chain), Some(key))) => Ok(Some(CertificateSource::Files {
            chain: chain.clone(),
            key: key.clone(),
        })),
        (TlsMode::Files, (None, None)) => Err(wrong("tls", "files", files)),
        (TlsMode::Files, (Some(chain), None)) => Err(wrong("tls-cert", chain.display(), files)),
        (TlsMode::Files, (None, Some(key))) => Err(wrong("tls-key", key.display(), files)),
        (TlsMode::Off, (None, None)) => Ok(None),
        (TlsMode::SelfSigned, (None, None)) => Ok(Some(CertificateSource::SelfSigned {
            state: state_folder(options),
        })),
        (TlsMode::Acme, (None, None)) if !is_acme => Err(wrong("tls", "acme", names)),
        (TlsMode::Acme, (None, None)) => Ok(Some(CertificateSource::Acme(acme(options)?))),
        (mode, _) => {
            let mode = match mode {
                TlsMode::SelfSigned => "self",
                TlsMode::Acme => "acme",
                TlsMode::Off | TlsMode::Files => "off",
            };
            let allowed = "files, or no --tls-cert and no --tls-key";
            Err(wrong("tls", mode, allowed))
        }
    }
}

fn acme(options: &Options) -> Result<AcmeConfig, ConfigError> {
    let domains = options.acme_domain.iter().flatten();
    let mut domains = domains
        .map(|name| {
            domain(name).ok_or_else(|| {
                wrong(
                    "acme-domain",
                    name,
                    "a name such as call.example.org, without * and port",
                )
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    domains.sort();
    domains.dedup();
    if !(1..=MAX_DOMAINS).contains(&domains.len()) {
        let allowed = format!("1 to {MAX_DOMAINS} names");
        return Err(wrong("acme-domain", domains.len(), allowed));
    }
    let email = options.acme_email.clone();
    if let Some(email) = email.as_ref().filter(|email| !is_email(email)) {
        let allowed = "an address such as admin@example.org";
        return Err(wrong("acme-email", email, allowed));
    }
    let directory = options.acme_directory.as_deref().unwrap_or(LETS_ENCRYPT);
    let url = http_url(directory).filter(|url| url.scheme_str() == Some("https"));
    let directory = url.ok_or_else(|| {
        let allowed = "a URL of https, such as https://acme.example.org/directory";
        wrong("acme-directory", directory, allowed)
    })?;
    let state = state_folder(options).ok_or_else(|| {
        let allowed = "--state-dir with a folder for the certificate and its key";
        wrong("tls", "acme", allowed)
    })?;
    Ok(AcmeConfig {
        domains,
        email,
        directory,
        root: options.acme_root.clone(),
        state,
    })
}

/// A name of DNS as it stands in certificates; `None` for anything else.
fn domain(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let has_letter = |label: &str| label.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_name = name.len() <= 253
        && name.split('.').all(is_label)
        // An address of IPv4 has digits only.
        && name.rsplit('.').next().is_some_and(has_letter);
    is_name.then_some(name)
}

fn is_email(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"@,?<>\"".contains(&byte))
    };
    text.len() <= MAX_EMAIL
        && text
            .split_once('@')
            .is_some_and(|(name, host)| is_plain(name) && is_plain(host))
}

/// Where the server keeps what outlives it: as it is told, or where its service manager or the desktop says; `None` where
/// nobody knows.
fn state_folder(options: &Options) -> Option<PathBuf> {
    if let Some(folder) = &options.state_dir {
        return Some(folder.clone());
    }
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    default_state_folder(
        variable("STATE_DIRECTORY"),
        variable("XDG_STATE_HOME"),
        variable("HOME"),
    )
}

fn default_state_folder(
    service: Option<OsString>,
    state_home: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    // Of several the first is as good as any (systemd.exec, STATE_DIRECTORY).
    let service = service.map(PathBuf::from).and_then(|folders| {
        let text = folders.to_str()?.split(':').next()?.to_owned();
        Some(PathBuf::from(text))
    });
    let state_home = state_home.map(PathBuf::from).filter(|it| it.is_absolute());
    let home = home.map(|home| PathBuf::from(home).join(".local/state"));
    service.or_else(|| Some(state_home.or(home)?.join("crosspoint")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_an_authority_can_look_at_are_names() {
        assert_eq!(
            domain("Call.Example.ORG."),
            Some("call.example.org".to_owned())
        );
        assert_eq!(
            domain("xn--bcher-kva.example"),
            Some("xn--bcher-kva.example".to_owned())
        );
        for wrong in [
            "",
            ".",
            "*.example.org",
            "example.org:443",
            "https://example.org",
            "192.0.2.1",
            "-a.org",
            "a-.org",
            "a..org",
            "bücher.example",
            &"a".repeat(64),
            &["abcdefg"; 32].join("."),
        ] {
            assert_eq!(domain(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_state_folder_is_the_service_managers_before_the_users() {
        let at = |service: Option<&str>, state: Option<&str>, home: Option<&str>| {
            let os = |text: Option<&str>| text.map(OsString::from);
            let folder = default_state_folder(os(service), os(state), os(home));
            folder.map(|folder| folder.to_str().unwrap_or_default().to_owned())
        };
        let service = "/var/lib/crosspoint";
        assert_eq!(
            at(Some(service), Some("/s"), Some("/h")).as_deref(),
            Some(service)
        );
        assert_eq!(at(Some("/a:/b"), None, None).as_deref(), Some("/a"));
        assert_eq!(
            at(None, Some("/s"), Some("/h")).as_deref(),
            Some("/s/crosspoint")
        );
        // What is relative is ignored (XDG Base Directory Specification).
        let of_home = Some("/h/.local/state/crosspoint");
        assert_eq!(at(None, Some("s"), Some("/h")).as_deref(), of_home);
        assert_eq!(at(None, None, Some("/h")).as_deref(), of_home);
        assert_eq!(at(None, None, None), None);
    }
}
