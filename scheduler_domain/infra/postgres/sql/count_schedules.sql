-- count_schedules: how many schedules there are in each state, from an index that holds states alone: of the table only
-- those pages are read that were written since they were last vacuumed.
SELECT state, count(*) AS number FROM schedule GROUP BY state
