-- The next positions of the log. The row stays locked until the commit, so positions become visible in their order and a
-- batch that fails leaves no hole. A statement of its own, so that `append` sees what the last holder committed.
update head set position = position + %(count)b returning position - %(count)b
