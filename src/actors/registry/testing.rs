//! What tests access in the registry beyond its public interface.

use actix::Addr;

use super::Registry;
use crate::actors::user_session::UserSession;
use crate::domain::ids::UserId;

impl Registry {
    /// The address itself, dead or alive, for messages that only tests send; `None` for an actor that
    /// rests.
    pub(in crate::actors) fn address(&self, user: UserId) -> Option<Addr<UserSession>> {
        self.0.residents.get(&user)?.address().cloned()
    }
}
