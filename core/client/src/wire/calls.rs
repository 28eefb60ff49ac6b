//! The places of calls in flight, and the numbers by which answers find them.
//!
//! A call's number, which the protocol calls opaque, is its place and how often the place was used before, so that an
//! answer that comes after its caller has gone finds nobody instead of somebody else.

use std::task::Waker;

use tokio::time::Instant;

use super::answer::Answer;
use crate::error::CallError;

/// The most calls in flight on one connection.
pub(super) const MAX_IN_FLIGHT: usize = 1 << PLACE_BITS;

const PLACE_BITS: u32 = 15;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;
/// Set in numbers of sends: their answers are read at once, into a value that allocates nothing.
const SEND: u32 = 1 << 30;
/// What is left for telling users of a place apart.
const TURN_MASK: u32 = (1 << (30 - PLACE_BITS)) - 1;

/// Whether the answer with this number is a send's.
pub(super) fn is_send(opaque: i32) -> bool {
    opaque as u32 & SEND != 0
}

/// Calls in flight.
#[derive(Default)]
pub(super) struct Calls {
    places: Vec<Place>,
    free: Vec<u16>,
}

struct Place {
    turn: u32,
    state: State,
}

enum State {
    Free,
    Waiting(Waiting),
    Done(Result<Answer, CallError>),
}

struct Waiting {
    waker: Option<Waker>,
    since: Instant,
    deadline: Instant,
}

impl Calls {
    /// Takes a place; `None` while all are taken. Returns the call's number.
    pub(super) fn start(&mut self, send: bool, since: Instant, deadline: Instant) -> Option<i32> {
        let waiting = State::Waiting(Waiting { waker: None, since, deadline });
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < MAX_IN_FLIGHT => {
                self.places.push(Place { turn: 0, state: State::Free });
                (self.places.len() - 1) as u16
            }
            None => return None,
        };
        let taken = &mut self.places[usize::from(place)];
        taken.turn = (taken.turn + 1) & TURN_MASK;
        taken.state = waiting;
        Some((u32::from(place) | taken.turn << PLACE_BITS | if send { SEND } else { 0 }) as i32)
    }

    /// How many are in flight, or have an answer that their caller has not seen.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Gives the answer to whoever waits for it; returns whom to wake. An answer that nobody waits for is dropped.
    pub(super) fn finish(&mut self, opaque: i32, answer: Result<Answer, CallError>) -> Option<Waker> {
        let place = self.place(opaque)?;
        match &mut place.state {
            State::Waiting(waiting) => {
                let waker = waiting.waker.take();
                place.state = State::Done(answer);
                waker
            }
            State::Free | State::Done(_) => None,
        }
    }

    /// Takes the answer out, which frees the place, or notes whom to wake for it.
    pub(super) fn poll(&mut self, opaque: i32, waker: &Waker) -> Option<Result<Answer, CallError>> {
        let place = self.place(opaque)?;
        match &mut place.state {
            State::Waiting(waiting) => {
                if !waiting.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    waiting.waker = Some(waker.clone());
                }
                None
            }
            _ => match std::mem::replace(&mut place.state, State::Free) {
                State::Done(answer) => {
                    self.free.push((opaque as u32 & PLACE_MASK) as u16);
                    Some(answer)
                }
                State::Free | State::Waiting(_) => None,
            },
        }
    }

    /// The caller has gone.
    pub(super) fn abandon(&mut self, opaque: i32) {
        if let Some(place) = self.place(opaque)
            && !matches!(place.state, State::Free)
        {
            place.state = State::Free;
            self.free.push((opaque as u32 & PLACE_MASK) as u16);
        }
    }

    /// Ends every call for which `failure` has one; adds whom to wake to `wakers`. It is given when the call began and
    /// its deadline.
    pub(super) fn fail(
        &mut self,
        wakers: &mut Vec<Waker>,
        mut failure: impl FnMut(Instant, Instant) -> Option<CallError>,
    ) {
        for place in &mut self.places {
            if let State::Waiting(waiting) = &mut place.state
                && let Some(failure) = failure(waiting.since, waiting.deadline)
            {
                wakers.extend(waiting.waker.take());
                place.state = State::Done(Err(failure));
            }
        }
    }

    /// Whether any call waits for an answer.
    pub(super) fn any_waiting(&self) -> bool {
        self.places.iter().any(|place| matches!(place.state, State::Waiting(_)))
    }

    /// The place of the call with this number, if it is still that call's.
    fn place(&mut self, opaque: i32) -> Option<&mut Place> {
        let number = opaque as u32;
        let place = self.places.get_mut((number & PLACE_MASK) as usize)?;
        (place.turn == number >> PLACE_BITS & TURN_MASK).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start(calls: &mut Calls) -> i32 {
        let now = Instant::now();
        calls.start(true, now, now + Duration::from_secs(3)).unwrap()
    }

    #[test]
    fn a_late_answer_finds_nobody_in_a_place_that_is_used_again() {
        let mut calls = Calls::default();
        let first = start(&mut calls);
        calls.abandon(first);
        let second = start(&mut calls);
        assert_ne!(first, second);
        assert!(calls.finish(first, Err(CallError::Closed)).is_none());
        assert!(calls.poll(second, Waker::noop()).is_none());
        calls.finish(second, Err(CallError::Closed));
        assert!(matches!(calls.poll(second, Waker::noop()), Some(Err(CallError::Closed))));
        assert_eq!(calls.len(), 0);
    }

    #[test]
    fn there_are_as_many_places_as_numbers_tell_apart() {
        let mut calls = Calls::default();
        let all: Vec<i32> = (0..MAX_IN_FLIGHT).map(|_| start(&mut calls)).collect();
        let now = Instant::now();
        assert_eq!(calls.start(false, now, now), None);
        calls.abandon(all[7]);
        assert!(calls.start(false, now, now).is_some_and(|number| number >= 0 && !is_send(number)));
    }
}
