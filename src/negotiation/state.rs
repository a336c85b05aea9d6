//! Everything that both sides agreed on, or that one description would make of it.

use crate::negotiation::codecs::PayloadTypes;
use crate::negotiation::extensions::ExtensionIds;
use crate::negotiation::line::MediaLine;
use crate::negotiation::remote::{Origin, RemoteTransport, Setup};
use crate::negotiation::{PublishedTrack, SdpError};
use crate::rtp::Mid;
use crate::shard::{DtlsRole, Fingerprint, IceCredentials, TrackId, TransportParameters};

/// The remote end of the bundle's transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transport {
    pub(crate) ice: IceCredentials,
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// Ours.
    pub(crate) role: DtlsRole,
}

/// A whole session. Cloned for each description, so that a wrong one leaves the old state whole.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) lines: Vec<MediaLine>,
    pub(crate) local_ice: IceCredentials,
    pub(crate) transport: Option<Transport>,
    pub(crate) extensions: ExtensionIds,
    pub(crate) payload_types: PayloadTypes,
    /// `a=extmap-allow-mixed` for the whole session.
    pub(crate) allow_mixed: bool,
    /// The bundled mids in the order of the last description.
    pub(crate) bundle: Vec<Mid>,
    /// The client's last description that was applied.
    pub(crate) origin: Option<Origin>,
    /// How many mids of ours there were.
    pub(crate) mids: u32,
}

impl State {
    /// The state before any description.
    pub(crate) fn new(local_ice: IceCredentials) -> Self {
        Self {
            lines: Vec::new(),
            local_ice,
            transport: None,
            extensions: ExtensionIds::default(),
            payload_types: PayloadTypes::default(),
            allow_mixed: true,
            bundle: Vec::new(),
            origin: None,
            mids: 0,
        }
    }

    /// A mid that no m-line has. Ours start with a letter, so that they never meet the numbers that
    /// browsers count up.
    pub(crate) fn new_mid(&mut self) -> Option<Mid> {
        loop {
            let mid = format!("s{}", self.mids).parse().ok()?;
            self.mids = self.mids.checked_add(1)?;
            if self.lines.iter().all(|line| line.mid != Some(mid)) {
                return Some(mid);
            }
        }
    }

    /// The m-line that carries this track to the client.
    pub(crate) fn line_sending(&self, track: TrackId) -> Option<&MediaLine> {
        self.lines
            .iter()
            .find(|line| line.send.is_some_and(|send| send.track == track))
    }

    /// The publisher of these tracks is on this shard now. Returns whether any of them is sent.
    pub(crate) fn set_home(&mut self, tracks: &[TrackId], home: usize) -> bool {
        let mut any = false;
        let sends = self.lines.iter_mut().filter_map(|line| line.send.as_mut());
        for send in sends.filter(|send| tracks.contains(&send.track)) {
            send.home = home;
            any = true;
        }
        any
    }

    /// What the client publishes.
    pub(crate) fn published(&self) -> Vec<PublishedTrack> {
        self.lines
            .iter()
            .filter_map(|line| {
                let receive = line.receive.as_ref()?;
                Some(PublishedTrack {
                    track: receive.track,
                    mid: line.mid?,
                    kind: line.media_kind()?,
                    source: receive.source,
                    codecs: line.formats.iter().map(|format| format.codec).collect(),
                })
            })
            .collect()
    }

    /// Which m-line carries which track to the client.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (Mid, TrackId)> + '_ {
        self.lines
            .iter()
            .filter_map(|line| Some((line.mid?, line.send?.track)))
    }

    /// What the core is to know about the transport, once there is a remote end.
    pub(crate) fn transport_parameters(&self) -> Option<TransportParameters> {
        let transport = self.transport.as_ref()?;
        Some(TransportParameters {
            local_ice: self.local_ice.clone(),
            remote_ice: transport.ice.clone(),
            fingerprints: transport.fingerprints.clone(),
            role: transport.role,
            sctp: self.lines.iter().find_map(|line| line.sctp),
        })
    }

    /// Takes the transport of a description, if it has one.
    pub(crate) fn set_transport(
        &mut self,
        remote: Option<&RemoteTransport>,
    ) -> Result<(), SdpError> {
        let Some(remote) = remote else {
            return Ok(());
        };
        let mut role = match remote.setup {
            Setup::Actpass | Setup::Active => DtlsRole::Server,
            Setup::Passive => DtlsRole::Client,
        };
        if let Some(now) = &self.transport {
            if now.fingerprints == remote.fingerprints {
                // The role lasts as long as the association (RFC 8842 section 5.5), whatever a client says
                // that answers each offer as if it were the first.
                role = now.role;
            } else if now.ice == remote.ice {
                return Err(SdpError::whole(
                    "the fingerprint changed without an ICE restart",
                ));
            }
        }
        self.transport = Some(Transport {
            ice: remote.ice.clone(),
            fingerprints: remote.fingerprints.clone(),
            role,
        });
        Ok(())
    }
}
