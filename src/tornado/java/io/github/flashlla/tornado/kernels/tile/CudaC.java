package io.github.flashlla.tornado.kernels.tile;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * CUDA C that stands for a call of this static method: {@code $0}, {@code $1}, .. are the arguments as CUDA C names or literals,
 * {@code $r} the result. {@code [[n: text]]} is a list of n times the text, in which {@code #} counts from 0, and {@code [[n]]} is n: a number, over
 * another, plus another, such as {@code $2/2+3} of an argument that is a constant. The method's own body is what the JVM runs.
 */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface CudaC {
    String value();

    /** Whether it touches arrays or local memory, or must stay in order with what does. */
    boolean effect() default false;

    /** Arguments that are arrays of the task's, and read: TornadoVM copies those to the device. */
    int[] reads() default {};

    /** Arguments that are arrays of the task's, and written. */
    int[] writes() default {};

    /** How the text is used. */
    Place place() default Place.HERE;

    /** Where the text goes. */
    enum Place {
        /** Into the kernel's body, where the call was. */
        HERE,
        /** Into the kernel's head, in front of its name. */
        HEAD,
        /** Into the declaration of the local array that is the first argument. */
        DECLARATION
    }
}
