-- One sequencer at a time. Taken in a statement of its own, so that the next one sees what the last holder committed.
select position from head for update
