//! One client on one way to this server (a 5-tuple), and the allocation it may have (RFC 8656 sections 6 to 12).

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::authority::{Authority, Owner, Refusal};
use super::frame::{CHANNELS, is_channel_data, read_channel_data, write_channel_data};
use super::quota::{Bucket, Place};
use super::request::{
    ADDRESS_ERROR_CODE, DATA, DATA_INDICATION, ERROR, Family, LIFETIME, Method, Request, SUCCESS,
    XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::transport::stun::{ERROR_CODE, UNKNOWN_ATTRIBUTES, Writer, XOR_MAPPED_ADDRESS};

/// Of an allocation, if its client does not ask for longer, and at most.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const MAX_LIFETIME: Duration = Duration::from_secs(3_600);
/// Of a permission, and of a channel.
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// Peers that one allocation has at a time: a call has a few.
const MAX_PEERS: usize = 64;
/// UDP in the REQUESTED-TRANSPORT attribute.
const UDP: u8 = 17;
/// Bytes that may pass at once however little is allowed a second: a picture's.
const MIN_BURST: f64 = 65_536.0;

/// What a message leads to.
#[derive(Debug)]
pub(crate) enum Reaction<'a> {
    /// Nothing.
    Ignored,
    /// This is sent back to the client.
    Answer(Vec<u8>),
    /// A socket is needed: [`Session::allocated`] wants to know what became of it.
    Allocate(Box<Wanted>),
    /// This is sent to a peer, from the session's socket.
    Relay {
        /// Where the peer is reached from here.
        to: SocketAddr,
        data: &'a [u8],
    },
}

/// An allocation that may be made.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The address that it relays from.
    pub(crate) ip: IpAddr,
    owner: Owner,
    transaction: [u8; 12],
    lifetime: Duration,
    /// A second address, of the other family, was asked for.
    wants_second: bool,
    place: Place,
}

/// Questions of a stranger behind a connection, a second in the long run and at once.
const QUESTIONS: f64 = 5.0;
const AT_ONCE: f64 = 20.0;

/// One client on one way to this server.
#[derive(Debug)]
pub(crate) struct Session {
    client: SocketAddr,
    /// Whether messages follow each other in a stream.
    is_stream: bool,
    /// How often it may ask while it is a stranger, if it has a connection of its own to ask on.
    questions: Option<Bucket>,
    allocation: Option<Allocation>,
}

#[derive(Debug)]
struct Allocation {
    owner: Owner,
    /// Of the request that it was made by: a client that did not hear the answer repeats it.
    transaction: [u8; 12],
    wants_second: bool,
    lifetime: Duration,
    expires: Instant,
    /// Where its datagrams seem to come from.
    relayed: SocketAddr,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    /// Peers that something was sent to.
    routes: Vec<Route>,
    to_peers: Bucket,
    to_client: Bucket,
    _place: Place,
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// A peer's address as its client knows it, and as this machine does.
#[derive(Debug)]
struct Route {
    peer: SocketAddr,
    actual: SocketAddr,
}

impl Session {
    /// A client that asked for nothing yet. It takes no memory worth mentioning until it has an allocation.
    pub(crate) fn new(client: SocketAddr, is_stream: bool) -> Self {
        Self {
            client,
            is_stream,
            questions: None,
            allocation: None,
        }
    }

    /// Whether it has an allocation.
    pub(crate) fn is_allocated(&self) -> bool {
        self.allocation.is_some()
    }

    /// When its allocation ends, unless it is refreshed before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.allocation
            .as_ref()
            .map(|allocation| allocation.expires)
    }

    /// Ends the allocation if its time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.allocation
            .take_if(|allocation| allocation.expires <= now);
    }

    /// A whole message of the client: STUN, or data on a channel.
    pub(crate) fn handle_client<'a>(
        &mut self,
        now: Instant,
        message: &'a [u8],
        authority: &Authority,
    ) -> Reaction<'a> {
        self.handle_timeout(now);
        if is_channel_data(message) {
            let relayed = self.allocation.as_mut().and_then(|allocation| {
                let (number, data) = read_channel_data(message)?;
                let peer = allocation.peer_on(now, number)?;
                allocation.relay(now, peer, data, authority)
            });
            return relayed.unwrap_or(Reaction::Ignored);
        }
        let Some(request) = Request::parse(message) else {
            return Reaction::Ignored;
        };
        if request.method == Method::Send {
            let relayed = self
                .allocation
                .as_mut()
                .and_then(|allocation| allocation.send(now, &request, authority));
            return relayed.unwrap_or(Reaction::Ignored);
        }
        let is_stranger = self.allocation.is_none() || request.method == Method::Binding;
        if is_stranger && !self.admits_question(now, authority) {
            return Reaction::Ignored;
        }
        if request.method == Method::Binding {
            return self.binding(&request);
        }
        let known = self.allocation.as_ref().map(|allocation| &allocation.owner);
        let owner = match authority.authenticate(now, self.client, &request, known) {
            Ok(owner) => owner,
            Err(refusal) => {
                let answer = authority.challenge(now, self.client, &request, refusal);
                return Reaction::Answer(answer);
            }
        };
        match self.handle_request(now, &request, &owner, authority) {
            Ok(reaction) => reaction,
            Err(refusal) => {
                let mut answer = Writer::new(request.method.kind() + ERROR, &request.transaction);
                answer.attribute(ERROR_CODE, &refusal.error_code());
                if refusal == Refusal::UnknownAttribute {
                    answer.attribute(UNKNOWN_ATTRIBUTES, &unknown(&request));
                }
                Reaction::Answer(answer.finish(&owner.key))
            }
        }
    }

    /// Whether a stranger's question is answered. Whoever is behind a connection is where it says, and does not repeat what is
    /// not answered (RFC 8489 section 6.2.2): it does not share with everybody of its address.
    fn admits_question(&mut self, now: Instant, authority: &Authority) -> bool {
        if !self.is_stream {
            return authority.admits(now, self.client.ip());
        }
        let questions = self
            .questions
            .get_or_insert_with(|| Bucket::full(now, AT_ONCE));
        questions.take(now, 1.0, QUESTIONS, AT_ONCE)
    }

    /// What became of the socket: its port, or none if there is no socket to be had. Gives the answer to the client.
    pub(crate) fn allocated(
        &mut self,
        now: Instant,
        wanted: Box<Wanted>,
        port: Option<u16>,
        authority: &Authority,
    ) -> Vec<u8> {
        let Some(port) = port else {
            authority.tally.refused.fetch_add(1, Ordering::Relaxed);
            let mut answer = Writer::new(Method::Allocate.kind() + ERROR, &wanted.transaction);
            answer.attribute(ERROR_CODE, &Refusal::InsufficientCapacity.error_code());
            return answer.finish(&wanted.owner.key);
        };
        let Wanted {
            ip,
            owner,
            transaction,
            lifetime,
            wants_second,
            place,
            ..
        } = *wanted;
        let (_, burst) = rate(authority);
        let allocation = self.allocation.insert(Allocation {
            owner,
            transaction,
            wants_second,
            lifetime,
            expires: now + lifetime,
            relayed: SocketAddr::new(ip, port),
            permissions: Vec::new(),
            channels: Vec::new(),
            routes: Vec::new(),
            to_peers: Bucket::full(now, burst),
            to_client: Bucket::full(now, burst),
            _place: place,
        });
        allocation.announce(self.client)
    }

    /// A datagram of a peer, by the address that this machine knows. Appends what the client is sent, if anything.
    pub(crate) fn handle_peer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &[u8],
        authority: &Authority,
        out: &mut Vec<u8>,
    ) {
        let is_stream = self.is_stream;
        if let Some(allocation) = &mut self.allocation
            && allocation.expires > now
        {
            allocation.handle_peer(now, from, data, is_stream, authority, out);
        }
    }

    fn binding(&self, request: &Request<'_>) -> Reaction<'static> {
        // Who names a user means a peer in a call, and is no stranger that asks for its address.
        if request.username.is_some() {
            return Reaction::Ignored;
        }
        let kind = request.method.kind();
        let answer = if request.unknown.is_empty() {
            let mut answer = Writer::new(kind + SUCCESS, &request.transaction);
            answer.xor_address(XOR_MAPPED_ADDRESS, self.client);
            answer
        } else {
            let mut answer = Writer::new(kind + ERROR, &request.transaction);
            answer.attribute(ERROR_CODE, &Refusal::UnknownAttribute.error_code());
            answer.attribute(UNKNOWN_ATTRIBUTES, &unknown(request));
            answer
        };
        Reaction::Answer(if request.has_fingerprint {
            answer.finish_unsigned()
        } else {
            answer.into_bytes()
        })
    }

    fn handle_request(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        owner: &Owner,
        authority: &Authority,
    ) -> Result<Reaction<'static>, Refusal> {
        let allocation = self.allocation.as_mut();
        if allocation.is_some_and(|allocation| allocation.owner.user != owner.user) {
            return Err(Refusal::WrongCredentials);
        }
        if !request.unknown.is_empty() {
            return Err(Refusal::UnknownAttribute);
        }
        let answer = match request.method {
            Method::Allocate => return self.allocate(request, owner, authority),
            Method::Refresh => self.refresh(now, request)?,
            Method::CreatePermission => {
                let allocation = self.allocation.as_mut();
                let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
                allocation.create_permissions(now, request, authority)?;
                Writer::new(request.method.kind() + SUCCESS, &request.transaction)
            }
            Method::ChannelBind => {
                let allocation = self.allocation.as_mut();
                let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
                allocation.bind_channel(now, request, authority)?;
                Writer::new(request.method.kind() + SUCCESS, &request.transaction)
            }
            Method::Binding | Method::Send => return Ok(Reaction::Ignored),
        };
        Ok(Reaction::Answer(answer.finish(&owner.key)))
    }

    /// RFC 8656 section 7.2.
    fn allocate(
        &self,
        request: &Request<'_>,
        owner: &Owner,
        authority: &Authority,
    ) -> Result<Reaction<'static>, Refusal> {
        if let Some(allocation) = &self.allocation {
            if allocation.transaction == request.transaction {
                return Ok(Reaction::Answer(allocation.announce(self.client)));
            }
            return Err(Refusal::AllocationMismatch);
        }
        match request.transport {
            Some(UDP) => {}
            Some(_) => return Err(Refusal::UnsupportedTransport),
            None => return Err(Refusal::BadRequest),
        }
        let relays = authority.relays.for_client(self.client.ip());
        let family = match (request.family, request.additional_family) {
            (Some(_), Some(_)) | (None, Some(Ok(Family::V4))) => return Err(Refusal::BadRequest),
            (Some(Err(())), None) | (None, Some(Err(()))) => {
                return Err(Refusal::AddressFamilyNotSupported);
            }
            (Some(Ok(family)), None) => family,
            // Who asks for nothing gets IPv4; a server that has none can be of use all the same.
            (None, None | Some(Ok(Family::V6))) if relays.v4.is_none() => Family::V6,
            (None, None | Some(Ok(Family::V6))) => Family::V4,
        };
        let ip = relays
            .of(family)
            .ok_or(Refusal::AddressFamilyNotSupported)?;
        let Some(place) = authority.quota.enter(&owner.user, self.client.ip()) else {
            authority.tally.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::AllocationQuotaReached);
        };
        Ok(Reaction::Allocate(Box::new(Wanted {
            ip,
            owner: owner.clone(),
            transaction: request.transaction,
            lifetime: lifetime(request),
            wants_second: request.additional_family.is_some(),
            place,
        })))
    }

    /// RFC 8656 section 8.2.
    fn refresh(&mut self, now: Instant, request: &Request<'_>) -> Result<Writer, Refusal> {
        let allocation = self.allocation.as_mut();
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        if let Some(family) = request.family
            && family != Ok(Family::of(&allocation.relayed))
        {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let lifetime = if request.lifetime == Some(0) {
            self.allocation = None;
            Duration::ZERO
        } else {
            let lifetime = lifetime(request);
            allocation.expires = now + lifetime;
            lifetime
        };
        let mut answer = Writer::new(request.method.kind() + SUCCESS, &request.transaction);
        answer.attribute(LIFETIME, &(lifetime.as_secs() as u32).to_be_bytes());
        Ok(answer)
    }
}

impl Allocation {
    /// The answer to the request that it was made by.
    fn announce(&self, client: SocketAddr) -> Vec<u8> {
        let mut answer = Writer::new(Method::Allocate.kind() + SUCCESS, &self.transaction);
        answer.xor_address(XOR_RELAYED_ADDRESS, self.relayed);
        answer.attribute(LIFETIME, &(self.lifetime.as_secs() as u32).to_be_bytes());
        answer.xor_address(XOR_MAPPED_ADDRESS, client);
        if self.wants_second {
            // One allocation has one address here; a client that wants both asks twice.
            let mut value = Refusal::AddressFamilyNotSupported.error_code();
            if let Some(family) = value.first_mut() {
                *family = if self.relayed.is_ipv4() { 2 } else { 1 };
            }
            answer.attribute(ADDRESS_ERROR_CODE, &value);
        }
        answer.finish(&self.owner.key)
    }

    /// RFC 8656 section 10.2.
    fn create_permissions(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        authority: &Authority,
    ) -> Result<(), Refusal> {
        if request.peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        for peer in &request.peers {
            self.check_family(peer)?;
            if !authority.peers.may_permit(peer.ip()) {
                return Err(Refusal::Forbidden);
            }
        }
        for peer in &request.peers {
            self.permit(now, peer.ip())?;
        }
        Ok(())
    }

    /// RFC 8656 section 12.2.
    fn bind_channel(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        authority: &Authority,
    ) -> Result<(), Refusal> {
        let (Some(number), [peer]) = (request.channel, &request.peers[..]) else {
            return Err(Refusal::BadRequest);
        };
        if !CHANNELS.contains(&number) {
            return Err(Refusal::BadRequest);
        }
        self.check_family(peer)?;
        authority.peers.route(*peer).ok_or(Refusal::Forbidden)?;
        self.channels.retain(|channel| channel.expires > now);
        let expires = now + CHANNEL_LIFETIME;
        let has_room = self.channels.len() < MAX_PEERS;
        let mut channels = self.channels.iter_mut();
        let bound = channels.find(|channel| channel.number == number || channel.peer == *peer);
        match bound {
            Some(channel) if channel.number == number && channel.peer == *peer => {
                channel.expires = expires;
            }
            Some(_) => return Err(Refusal::BadRequest),
            None if !has_room => return Err(Refusal::InsufficientCapacity),
            None => self.channels.push(Channel {
                number,
                peer: *peer,
                expires,
            }),
        }
        self.permit(now, peer.ip())
    }

    fn check_family(&self, peer: &SocketAddr) -> Result<(), Refusal> {
        if Family::of(peer) == Family::of(&self.relayed) {
            Ok(())
        } else {
            Err(Refusal::PeerAddressFamilyMismatch)
        }
    }

    fn permit(&mut self, now: Instant, ip: IpAddr) -> Result<(), Refusal> {
        self.permissions
            .retain(|permission| permission.expires > now);
        let expires = now + PERMISSION_LIFETIME;
        let has_room = self.permissions.len() < MAX_PEERS;
        let mut permissions = self.permissions.iter_mut();
        match permissions.find(|permission| permission.ip == ip) {
            Some(permission) => permission.expires = expires,
            None if !has_room => return Err(Refusal::InsufficientCapacity),
            None => self.permissions.push(Permission { ip, expires }),
        }
        Ok(())
    }

    fn is_permitted(&self, now: Instant, ip: IpAddr) -> bool {
        let mut permissions = self.permissions.iter();
        permissions.any(|permission| permission.ip == ip && permission.expires > now)
    }

    fn peer_on(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.number == number)?;
        (channel.expires > now).then_some(channel.peer)
    }

    /// A Send indication (RFC 8656 section 11.2).
    fn send<'a>(
        &mut self,
        now: Instant,
        request: &Request<'a>,
        authority: &Authority,
    ) -> Option<Reaction<'a>> {
        let [peer] = request.peers[..] else {
            return None;
        };
        if !request.unknown.is_empty() {
            return None;
        }
        self.relay(now, peer, request.data?, authority)
    }

    fn relay<'a>(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        data: &'a [u8],
        authority: &Authority,
    ) -> Option<Reaction<'a>> {
        if !self.is_permitted(now, peer.ip()) {
            return None;
        }
        let actual = authority.peers.route(peer)?;
        let tally = &authority.tally;
        if !passes(
            &mut self.to_peers,
            now,
            data,
            authority,
            &tally.bytes_to_peers,
        ) {
            return None;
        }
        match self.routes.iter_mut().find(|route| route.actual == actual) {
            Some(route) => route.peer = peer,
            None => {
                if self.routes.len() >= MAX_PEERS {
                    self.routes.remove(0);
                }
                self.routes.push(Route { peer, actual });
            }
        }
        Some(Reaction::Relay { to: actual, data })
    }

    /// RFC 8656 sections 11.3 and 12.7.
    fn handle_peer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &[u8],
        is_stream: bool,
        authority: &Authority,
        out: &mut Vec<u8>,
    ) {
        let route = self.routes.iter().find(|route| route.actual == from);
        let peer = match route {
            Some(route) => route.peer,
            None if authority.peers.is_outside(from.ip()) => from,
            None => return,
        };
        let Ok(_) = u16::try_from(data.len()) else {
            return;
        };
        let tally = &authority.tally;
        if !self.is_permitted(now, peer.ip())
            || !passes(
                &mut self.to_client,
                now,
                data,
                authority,
                &tally.bytes_to_clients,
            )
        {
            return;
        }
        let mut channels = self.channels.iter();
        match channels.find(|channel| channel.peer == peer && channel.expires > now) {
            Some(channel) => write_channel_data(channel.number, data, is_stream, out),
            None => {
                let mut indication = Writer::new(DATA_INDICATION, &rand::random());
                indication.xor_address(XOR_PEER_ADDRESS, peer);
                indication.attribute(DATA, data);
                out.extend_from_slice(&indication.into_bytes());
            }
        }
    }
}

/// Whether an allocation's share leaves room for these bytes; counts them, or that it did not.
fn passes(
    bucket: &mut Bucket,
    now: Instant,
    data: &[u8],
    authority: &Authority,
    bytes: &AtomicU64,
) -> bool {
    let (rate, burst) = rate(authority);
    let passes = bucket.take(now, data.len() as f64, rate, burst);
    if passes {
        bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
    } else {
        authority.tally.over_rate.fetch_add(1, Ordering::Relaxed);
    }
    passes
}

/// Bytes a second of one allocation each way, and at once: those of a quarter of a second.
fn rate(authority: &Authority) -> (f64, f64) {
    let rate = authority.limits.bits_per_second as f64 / 8.0;
    (rate, (rate / 4.0).max(MIN_BURST))
}

fn lifetime(request: &Request<'_>) -> Duration {
    let wanted = request.lifetime.unwrap_or(0);
    Duration::from_secs(wanted.into()).clamp(DEFAULT_LIFETIME, MAX_LIFETIME)
}

fn unknown(request: &Request<'_>) -> Vec<u8> {
    let unknown = request.unknown.iter();
    unknown.flat_map(|kind| kind.to_be_bytes()).collect()
}
