//! One certificate, from the order to what comes of it (RFC 8555 section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::{AcmeError, challenge};
use crate::entrance::certificate::Pem;
use crate::entrance::keeper::Keeper;

/// How often the authority is asked how far it is: first after half a second, then ever more rarely.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// Orders a certificate for the names, and has the keeper show the authority that they lead here.
pub(super) async fn order(
    account: &Account,
    domains: &[String],
    keeper: &Arc<Keeper>,
) -> Result<Pem, AcmeError> {
    let names = domains.iter().cloned().map(Identifier::Dns);
    let names = names.collect::<Vec<_>>();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let shown = Shown(keeper);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // The authority may remember it of the last time.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let Some(mut asked) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError::NoWay(domain));
        };
        let digest = asked.key_authorization().digest();
        let certificate = challenge::certificate(&domain, digest.as_ref())?;
        shown.0.show_challenge(domain.clone(), certificate);
        asked.set_ready().await.map_err(|error| match error {
            instant_acme::Error::Api(problem) => refused(domain, &problem),
            error => error.into(),
        })?;
    }
    let ready = order.poll_ready(&POLLING).await;
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        return Err(match (refusal(&mut order).await, ready) {
            (Some(refused), _) => refused,
            (None, Err(error)) => error.into(),
            (None, Ok(_)) => instant_acme::Error::Str("an order that is ready").into(),
        });
    }
    drop(shown);
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(domains.to_vec())?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    let pem = format!("{}{chain}", key.serialize_pem());
    Pem::read(pem.into_bytes()).map_err(AcmeError::Unusable)
}

/// Why the authority is not content with a name, in its own words.
async fn refusal(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let domain = authorization.identifier().to_string();
        let state = authorization.refresh().await.ok()?;
        let error = state.challenges.iter().find_map(|it| it.error.as_ref());
        if let Some(error) = error {
            return Some(refused(domain, error));
        }
    }
    None
}

fn refused(domain: String, problem: &Problem) -> AcmeError {
    let reason = match &problem.detail {
        Some(detail) => detail.clone(),
        None => problem.to_string(),
    };
    AcmeError::Refused { domain, reason }
}

/// What the keeper shows for an order, until that is over in one way or another.
struct Shown<'a>(&'a Keeper);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.end_challenges();
    }
}
