//! What the core was told last, and the commands that tell it what changed since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::negotiation::state::State;
use crate::rtp::{ExtensionMap, Mid};
use crate::shard::{
    Command, PeerId, ReceiveParameters, SendParameters, TrackId, TransportParameters,
};

/// What the core was told, and what it is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    transport: Option<TransportParameters>,
    extensions: ExtensionMap,
    receivers: BTreeMap<Mid, ReceiveParameters>,
    senders: BTreeMap<Mid, SendParameters>,
    commands: VecDeque<Command>,
}

impl Told {
    /// The next command.
    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Queues the difference between what the core knows and `state`. What is not `wanted` is not sent,
    /// even where the m-line still says so.
    pub(crate) fn update(&mut self, peer: PeerId, state: &State, wanted: &BTreeSet<TrackId>) {
        let transport = state.transport_parameters();
        if let Some(transport) = transport.filter(|t| self.transport.as_ref() != Some(t)) {
            self.transport = Some(transport.clone());
            self.commands
                .push_back(Command::SetTransport { peer, transport });
        }
        if self.extensions != state.extensions.map {
            self.extensions = state.extensions.map;
            self.commands.push_back(Command::SetExtensions {
                peer,
                extensions: Box::new(self.extensions),
            });
        }
        let receivers = state
            .lines
            .iter()
            .filter_map(|line| Some((line.mid?, line.receive_parameters()?)))
            .collect();
        let commands = &mut self.commands;
        difference(&mut self.receivers, receivers, |mid, parameters| {
            commands.push_back(Command::SetReceiver {
                peer,
                mid,
                parameters,
            });
        });
        let senders = state
            .lines
            .iter()
            .filter_map(|line| Some((line.mid?, line.send_parameters()?)))
            .filter(|(_, parameters)| wanted.contains(&parameters.track))
            .collect();
        difference(&mut self.senders, senders, |mid, parameters| {
            commands.push_back(Command::SetSender {
                peer,
                mid,
                parameters,
            });
        });
    }
}

/// Makes `told` equal to `now`, saying first what ended, then what is new or changed.
fn difference<P: Clone + PartialEq>(
    told: &mut BTreeMap<Mid, P>,
    now: BTreeMap<Mid, P>,
    mut say: impl FnMut(Mid, Option<P>),
) {
    for mid in told.keys().filter(|mid| !now.contains_key(mid)) {
        say(*mid, None);
    }
    for (mid, parameters) in &now {
        if told.get(mid) != Some(parameters) {
            say(*mid, Some(parameters.clone()));
        }
    }
    *told = now;
}
