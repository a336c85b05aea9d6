//! A certificate that is signed by itself, and kept: whoever trusts it is not asked again.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::certificate::{CertificateError, Pem};
use super::state::StateFolder;

/// How long it is good. Some browsers refuse those that are for longer than 398 days.
const DAYS: u64 = 365;
/// With so much left, or less, another one is made.
const RENEW_BEFORE: Duration = Duration::from_secs(60 * 24 * 3600);
/// Clocks of other machines may be behind by so much.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// Where it is kept.
const FILE: &str = "self-signed.pem";

/// The one of the last start, if it is good for these addresses and for some time yet; else a new one, which is kept for the
/// next. Without a state folder it is always a new one.
pub(super) fn make_or_stored(
    state: Option<&Path>,
    now: SystemTime,
    addresses: &[IpAddr],
) -> Result<Pem, CertificateError> {
    let Some(path) = state else {
        return make(now, addresses);
    };
    let unkept = |error: &dyn fmt::Display| {
        tracing::warn!(
            folder = %path.display(), %error,
            "the certificate cannot be kept for the next start, and browsers will ask again then; --state-dir says another folder"
        );
    };
    let folder = match StateFolder::open(path) {
        Ok(folder) => folder,
        Err(error) => {
            unkept(&error);
            return make(now, addresses);
        }
    };
    let stored = folder.read(FILE).ok().flatten().map(Pem::read);
    if let Some(Ok(stored)) = stored
        && is_good(&stored, now, addresses)
    {
        return Ok(stored);
    }
    let made = make(now, addresses)?;
    if let Err(error) = folder.write(FILE, made.bytes()) {
        unkept(&error);
    }
    Ok(made)
}

/// Whether it is for these addresses, and good for some time yet.
pub(super) fn is_good(pem: &Pem, now: SystemTime, addresses: &[IpAddr]) -> bool {
    let (from, to) = pem.validity();
    from <= now && now + RENEW_BEFORE < to && pem.is_for(&names(addresses))
}

/// Makes one for `localhost`, the loopback addresses and these, good for a year.
pub(super) fn make(now: SystemTime, addresses: &[IpAddr]) -> Result<Pem, CertificateError> {
    let make = |error: &dyn fmt::Display| CertificateError::Make(error.to_string());
    let mut parameters =
        rcgen::CertificateParams::new(names(addresses)).map_err(|error| make(&error))?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + since.saturating_sub(CLOCK_SKEW);
    parameters.not_after = epoch + since + Duration::from_secs(DAYS * 24 * 3600);
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Crosspoint");
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().map_err(|error| make(&error))?;
    let certificate = parameters.self_signed(&key).map_err(|error| make(&error))?;
    Pem::read(format!("{}{}", key.serialize_pem(), certificate.pem()).into_bytes())
}

fn names(addresses: &[IpAddr]) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    own.into_iter()
        .chain(addresses.iter().map(IpAddr::to_string))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_next_start_has_the_same_until_its_time_or_the_addresses_are_others() {
        let path = std::env::temp_dir().join(format!("crosspoint-{}", rand::random::<u64>()));
        let now = SystemTime::now();
        let at = |now, addresses: &[&str]| {
            let addresses = addresses.iter().map(|it| it.parse().unwrap());
            let addresses = addresses.collect::<Vec<_>>();
            let pem = make_or_stored(Some(&path), now, &addresses).unwrap();
            pem.bytes().to_vec()
        };
        let first = at(now, &["192.0.2.1", "2001:db8::1"]);
        assert!(at(now + 300 * DAY, &["192.0.2.1"]) == first);
        let moved = at(now, &["192.0.2.2"]);
        assert!(moved != first);
        assert!(at(now, &["192.0.2.2"]) == moved);
        let later = at(now + 306 * DAY, &["192.0.2.2"]);
        assert!(later != moved);
        // The clock was wrong, and is not any more.
        assert!(at(now, &["192.0.2.2"]) != later);

        std::fs::write(path.join(FILE), "spoilt").unwrap();
        let anew = at(now, &[]);
        assert!(at(now, &[]) == anew);
        std::fs::remove_dir_all(&path).unwrap();

        // Where nothing can be kept there is one all the same.
        std::fs::write(&path, "no folder").unwrap();
        assert!(at(now, &[]) != at(now, &[]));
        std::fs::remove_file(&path).unwrap();
    }
}
