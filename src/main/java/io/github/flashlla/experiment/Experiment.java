package io.github.flashlla.experiment;

import java.util.List;

/**
 * One claim and how it is measured. A run is a list of seeds; each seed gives curves, and the conclusion is drawn from all
 * seeds' curves and nothing else, so that a record can be judged again.
 */
public interface Experiment {

    /** What users type. */
    String name();

    /** In one sentence, with a question mark. */
    String question();

    /** Data, methods and sizes, in a few sentences. */
    String setUp(boolean quick);

    /** Seeds of a run that names none. */
    List<Long> seeds(boolean quick);

    /** The figures, in the order of the report. */
    List<Panel> panels(boolean quick);

    /** Measures one seed. The same seed on the same device gives the same curves. */
    List<Curve> run(Run run);

    /** What the seeds' curves say, and what must hold of them. */
    Finding conclude(List<SeedResult> seeds, boolean quick);
}
