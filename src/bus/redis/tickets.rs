//! Tickets on Redis: `SET … EX`, and `GETDEL`, which only one taker gets an answer from.

use redis::{FromRedisValue, cmd};

use super::{COUNTER_PATIENCE, RedisBus};
use crate::bus::BusError;
use crate::bus::tickets::GOOD_FOR;

impl RedisBus {
    pub(in crate::bus) async fn keep_ticket(&self, ticket: &str, holder: String) -> Result<(), BusError> {
        let mut set = cmd("SET");
        set.arg(key(ticket)).arg(holder).arg("EX").arg(GOOD_FOR.as_secs());
        self.ask::<()>(set).await
    }

    pub(in crate::bus) async fn take_ticket(&self, ticket: &str) -> Result<Option<String>, BusError> {
        let mut take = cmd("GETDEL");
        take.arg(key(ticket));
        self.ask(take).await
    }

    async fn ask<T: FromRedisValue + Send + 'static>(&self, command: redis::Cmd) -> Result<T, BusError> {
        let mut connection = self.connection.manager();
        let asking = async move {
            tokio::time::timeout(COUNTER_PATIENCE * 2, command.query_async::<T>(&mut connection)).await
        };
        match self.io.run(asking).await? {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(BusError::TimedOut),
        }
    }
}

fn key(ticket: &str) -> String {
    format!("auth:ticket:{ticket}")
}
