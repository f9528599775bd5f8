//! Who may call: a change requires a caller who has just authenticated.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use crate::domain::command::{NoteProof, ReadProof};
use crate::domain::ids::UserId;
use crate::domain::sign_in::Factor;
use crate::domain::user::User;
use crate::http::extract::fresh::Fresh;
use crate::http::problem::{Code, Problem};
use crate::http::refresh::session_over;
use crate::http::state::AppState;

/// A caller whose session is fresh.
#[derive(Debug)]
pub(super) struct FreshCaller(Fresh);

impl FreshCaller {
    /// Authenticates the caller of a request.
    ///
    /// # Errors
    /// The problem to answer with.
    pub(super) async fn by_request(http: &HttpRequest) -> Result<Self, Problem> {
        Fresh::from_request(http, &mut Payload::None).await.map(Self)
    }

    /// The user the session belongs to.
    pub(super) fn user(&self) -> UserId {
        self.0.user()
    }

    /// The stored account, after whose reading the session was still live: so a change that compares the
    /// account's credentials cannot follow a reset that has ended the session.
    pub(super) async fn account(&self, state: &web::Data<AppState>) -> Result<User, Problem> {
        let user = state.store().lookup_user(self.user()).await?;
        let user = user.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())?;
        let read = ReadProof { session: self.0.session() };
        match state.registry.ask(user.id, read).await.map_err(Problem::for_token)? {
            Ok(_) => Ok(user),
            Err(over) => Err(session_over(state, user.id, over).await?.with_challenge()),
        }
    }

    /// Records that the person has just presented a factor: the session now counts as signed in with it.
    pub(super) async fn has_shown(&self, state: &AppState, factor: Factor) -> Result<(), Problem> {
        let command = NoteProof { session: self.0.session(), factor };
        state.registry.ask(self.user(), command).await.map_err(Problem::for_token)
    }
}

impl FromRequest for FreshCaller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::by_request(&request).await })
    }
}
