//! Where a task stands.

/// The state of a task (`ds-task-state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Taken and due, but as many tasks run already as may run at a time.
    Unscheduled,
    /// Not to be started until somebody changes its state.
    Disabled,
    /// Its start time has not come.
    WaitingOnStartTime,
    /// A task that it depends on has not ended.
    WaitingOnDependency,
    /// At work.
    Running,
    /// The pattern that scheduled tasks are made from.
    Recurring,
    /// Did all that it had to.
    CompletedSuccessfully,
    /// Came to its end, and something was not right.
    CompletedWithErrors,
    /// The server stopped while it ran.
    StoppedByShutdown,
    /// Could not go on.
    StoppedByError,
    /// Somebody stopped it while it ran.
    StoppedByAdministrator,
    /// Will not run: canceled, or its slot passed while the server was down.
    CanceledBeforeStarting,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Unscheduled,
        Self::Disabled,
        Self::WaitingOnStartTime,
        Self::WaitingOnDependency,
        Self::Running,
        Self::Recurring,
        Self::CompletedSuccessfully,
        Self::CompletedWithErrors,
        Self::StoppedByShutdown,
        Self::StoppedByError,
        Self::StoppedByAdministrator,
        Self::CanceledBeforeStarting,
    ];

    /// Its value of `ds-task-state`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unscheduled => "UNSCHEDULED",
            Self::Disabled => "DISABLED",
            Self::WaitingOnStartTime => "WAITING_ON_START_TIME",
            Self::WaitingOnDependency => "WAITING_ON_DEPENDENCY",
            Self::Running => "RUNNING",
            Self::Recurring => "RECURRING",
            Self::CompletedSuccessfully => "COMPLETED_SUCCESSFULLY",
            Self::CompletedWithErrors => "COMPLETED_WITH_ERRORS",
            Self::StoppedByShutdown => "STOPPED_BY_SHUTDOWN",
            Self::StoppedByError => "STOPPED_BY_ERROR",
            Self::StoppedByAdministrator => "STOPPED_BY_ADMINISTRATOR",
            Self::CanceledBeforeStarting => "CANCELED_BEFORE_STARTING",
        }
    }

    /// The state of this name, in any case; the British spelling of canceled counts too.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_uppercase().replace("CANCELLED", "CANCELED");
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more will happen to the task.
    pub const fn is_done(self) -> bool {
        matches!(
            self,
            Self::CompletedSuccessfully
                | Self::CompletedWithErrors
                | Self::StoppedByShutdown
                | Self::StoppedByError
                | Self::StoppedByAdministrator
                | Self::CanceledBeforeStarting
        )
    }

    /// Whether the task has yet to start.
    pub const fn is_pending(self) -> bool {
        matches!(
            self,
            Self::Unscheduled | Self::Disabled | Self::WaitingOnStartTime | Self::WaitingOnDependency
        )
    }

    /// Whether all went well.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::CompletedSuccessfully)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_each_state_is_of_one_kind() {
        for state in State::ALL {
            assert_eq!(State::by_name(&state.name().to_lowercase()), Some(state));
            let kinds =
                [state.is_done(), state.is_pending(), state == State::Running, state == State::Recurring];
            assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{state:?}");
        }
        assert_eq!(State::by_name("cancelled_before_starting"), Some(State::CanceledBeforeStarting));
        assert_eq!(State::by_name("CANCELED"), None);
    }
}
