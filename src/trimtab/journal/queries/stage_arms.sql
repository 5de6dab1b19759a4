-- How many runs of one stage of a rollout got which map.
SELECT arm, count(*) FROM assignment WHERE experiment = :stage GROUP BY arm
