//! Lanes: parts of the outbox that are published independently, so that publishing scales with the
//! nodes. All events of a user are in one lane, because their order matters.
//!
//! Nodes need not agree on the number of lanes: with any number, each lane contains all events of its
//! users.

use crate::domain::ids::UserId;

/// Most lanes there can be: a lane is chosen by one byte.
pub const MAX_LANES: u32 = 64;

/// One lane, and the number of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    number: u32,
    of: u32,
}

impl Lane {
    /// All lanes; at least one.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        let of = of.clamp(1, MAX_LANES);
        (0..of).map(move |number| Self { number, of })
    }

    /// The lane of a user, by the last byte of the id, which is random in every UUID version in use.
    #[must_use]
    pub fn of_user(user: UserId, of: u32) -> Self {
        let of = of.clamp(1, MAX_LANES);
        let [.., last] = *user.uuid().as_bytes();
        Self { number: u32::from(last) % of, of }
    }

    /// The lane's number, counted from 0.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many lanes there are.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_uuid;

    #[test]
    fn a_user_is_always_in_the_same_lane_and_users_are_in_all() {
        let users: Vec<_> = (0..2_000).map(|_| UserId::new(new_uuid())).collect();
        for of in [1, 4, MAX_LANES] {
            let mut counts = vec![0; of as usize];
            for user in &users {
                assert_eq!(Lane::of_user(*user, of), Lane::of_user(*user, of));
                counts[Lane::of_user(*user, of).number() as usize] += 1;
            }
            assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        }
        assert_eq!(Lane::all(4).map(Lane::number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
