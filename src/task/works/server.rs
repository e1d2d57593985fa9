//! The server itself: stopping it, ending a connection, the lockdown mode.

use std::sync::Arc;

use crate::access::Privilege;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::task::class::{Class, Context, Done, Handle, Work};

struct Shutdown {
    context: Arc<Context>,
    restart: bool,
    reason: Option<String>,
}

/// `ShutdownTask`.
pub(super) fn shutdown() -> Class {
    Class::new(&["ShutdownTask"], &[Privilege::ServerShutdown], |source| {
        Ok(Box::new(Shutdown {
            context: Arc::clone(source.context),
            restart: source.flag("ds-task-restart-server")?,
            reason: source.first("ds-task-shutdown-message"),
        }))
    })
}

impl Work for Shutdown {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let host = self.context.host().ok_or("the server is not put together yet")?;
        let reason = self.reason.as_deref().unwrap_or("a shutdown task");
        handle.say(format!("the server {}: {reason}", if self.restart { "restarts" } else { "stops" }));
        host.shut_down(self.restart, reason);
        Ok(Done::Successfully)
    }
}

struct Disconnect {
    context: Arc<Context>,
    connection: u64,
    notice: Option<LdapResult>,
}

/// `DisconnectClientTask`.
pub(super) fn disconnect() -> Class {
    Class::new(&["DisconnectClientTask"], &[Privilege::DisconnectClient], |source| {
        source.required("ds-task-disconnect-connection-id")?;
        let connection = source.number("ds-task-disconnect-connection-id")?.unwrap_or_default();
        let message = source.first("ds-task-disconnect-message");
        let message = message.unwrap_or_else(|| "an administrator ends this connection".to_owned());
        let is_told = source.flag("ds-task-disconnect-notify-client")?;
        Ok(Box::new(Disconnect {
            context: Arc::clone(source.context),
            connection,
            notice: is_told.then(|| LdapResult::with(ResultCode::UNAVAILABLE, message)),
        }))
    })
}

impl Work for Disconnect {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let host = self.context.host().ok_or("the server is not put together yet")?;
        if !host.disconnect(self.connection, self.notice) {
            return Err(format!("there is no connection {}", self.connection));
        }
        handle.say(format!("connection {} ends", self.connection));
        Ok(Done::Successfully)
    }
}

struct Lockdown {
    context: Arc<Context>,
    is_entered: bool,
}

/// `EnterLockdownModeTask`.
pub(super) fn enter_lockdown() -> Class {
    Class::new(&["EnterLockdownModeTask"], &[Privilege::ServerLockdown], |source| {
        Ok(Box::new(Lockdown { context: Arc::clone(source.context), is_entered: true }))
    })
}

/// `LeaveLockdownModeTask`.
pub(super) fn leave_lockdown() -> Class {
    Class::new(&["LeaveLockdownModeTask"], &[Privilege::ServerLockdown], |source| {
        Ok(Box::new(Lockdown { context: Arc::clone(source.context), is_entered: false }))
    })
}

impl Work for Lockdown {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let directory = self.context.directory().ok_or("the server is gone")?;
        if self.is_entered {
            directory.lockdown.enter("a task asked for it");
            handle.say("only administrators are served");
        } else if directory.lockdown.leave() {
            handle.say("everybody is served");
        } else {
            handle.say("the server was not in lockdown mode");
        }
        Ok(Done::Successfully)
    }
}
