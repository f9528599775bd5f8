//! The runtime on which sockets to the database and to Redis live, so that no busy arbiter can stall them.
//!
//! A socket belongs to the tokio runtime on which it was opened; queries run there and are awaited from
//! anywhere.

use std::future::Future;

use tokio::runtime::Handle;

/// The runtime is shutting down; the work was not done.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the runtime for input and output is gone")]
pub struct IoGone;

/// A handle on that runtime.
#[derive(Clone, Debug)]
pub struct Io(Handle);

impl Io {
    /// Runs futures on this runtime; it must outlive every user of the handle.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Runs the future on that runtime and waits for it here. It runs to completion even if the caller
    /// is dropped.
    ///
    /// # Errors
    /// [`IoGone`] when the runtime is shutting down. A panic in the future is propagated to the caller.
    pub async fn run<F>(&self, future: F) -> Result<F::Output, IoGone>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.0.spawn(future).await {
            Ok(output) => Ok(output),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(IoGone),
        }
    }

    /// Runs the future on that runtime without waiting for it.
    pub fn detach<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.0.spawn(future));
    }
}
