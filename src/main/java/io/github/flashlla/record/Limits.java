package io.github.flashlla.record;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * What the record schema says of a component beyond its type, its name and its Javadoc. A component may be left out of a
 * record if it is of a boxed type, or {@link #optional}.
 */
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.RECORD_COMPONENT, ElementType.FIELD})
@interface Limits {
    /** Least number, of an array's elements too. */
    double min() default 0;

    /** Whether {@link #min} itself is too little. */
    boolean above() default false;

    /** Largest number, of an array's elements too; NaN is the type's. */
    double max() default Double.NaN;

    /** The only words that a text may be; any if there are none. */
    String[] words() default {};

    /** Regular expression of a text; empty is none. */
    String pattern() default "";

    /** Most characters of a text, or elements of an array. */
    int length() default 200;

    boolean optional() default false;
}
